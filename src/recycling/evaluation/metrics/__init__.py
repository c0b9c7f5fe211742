"""What a task is judged by: one file a metric."""
