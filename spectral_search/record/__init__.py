"""What lies in a results folder: paths, durable files, records, leaderboard and exports."""
