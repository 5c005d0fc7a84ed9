"""Looking after links and daemon: restarted, escalated, told; systemd notified."""
