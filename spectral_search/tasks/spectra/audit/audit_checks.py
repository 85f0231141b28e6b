"""The whole audit: every check in order, cheap ones first."""

from spectral_search.tasks.spectra.audit import leaks, overlap, recorded_noise, shard_differences
from spectral_search.tasks.spectra.audit.audit_findings import Audited, AuditFinding
from spectral_search.tasks.spectra.audit.survey import survey


def audit(data: Audited) -> list[AuditFinding]:
    """All findings on a data set."""
    surveys = survey(data.shards, data.told)
    return [
        *overlap.check(data, surveys),
        *shard_differences.check(data, surveys),
        *recorded_noise.check(data),
        *leaks.check(data),
    ]
