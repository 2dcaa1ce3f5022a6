"""What every request goes through: sites, sign-in, security, problems, streams."""
