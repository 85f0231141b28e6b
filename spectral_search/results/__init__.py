"""What lies in a results folder: paths, records, leaderboard and export."""
