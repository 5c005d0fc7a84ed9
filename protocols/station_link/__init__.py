"""The open frame for low-cost receivers: what their firmware says, and what the host answers."""
