"""What is tried next and what is stopped: proposers and rules, pure in the history."""
