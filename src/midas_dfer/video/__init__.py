"""Videos in and out: frames with their times, and files written from frames."""
