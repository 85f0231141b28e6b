"""The live page: what lies in a results folder, read bit by bit, served as JSON and drawn by a browser."""
