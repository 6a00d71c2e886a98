"""What people see: panels defined once (`panels`, `pages`), their words (`text`), Grafana and the live console."""
