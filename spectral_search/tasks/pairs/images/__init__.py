"""Images from archives, folders and arrays, their splits, and pairs that are drawn of them."""
