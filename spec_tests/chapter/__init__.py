"""The chapter side by side: CHAPTER.md, and the same as one HTML page. See `page`."""
