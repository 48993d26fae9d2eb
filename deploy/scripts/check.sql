-- docker-compose exec db psql -U postgres -f /scripts/check.sql
\l email_sender
\c email_sender
\d emails
