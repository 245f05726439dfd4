-- One database, one schema and login role per service, one owner role that may look into all of them.
-- Runs again at every start; passwords come from the environment and are never written here or on a command line.
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
SET log_min_error_statement = panic;
SET log_statement = 'none';

\getenv martlet_password MARTLET_PASSWORD_MARTLET
\getenv registry_password MARTLET_PASSWORD_REGISTRY
\getenv config_password MARTLET_PASSWORD_CONFIG
\getenv commands_password MARTLET_PASSWORD_COMMANDS
\getenv bridge_password MARTLET_PASSWORD_BRIDGE

SELECT format('CREATE ROLE %I LOGIN', name)
  FROM unnest(ARRAY['martlet', 'registry', 'config', 'commands', 'bridge']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE martlet PASSWORD :'martlet_password';
ALTER ROLE registry PASSWORD :'registry_password';
ALTER ROLE config PASSWORD :'config_password';
ALTER ROLE commands PASSWORD :'commands_password';
ALTER ROLE bridge PASSWORD :'bridge_password';

SELECT 'CREATE DATABASE martlet OWNER martlet'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'martlet') \gexec

\connect martlet
SET client_min_messages = warning;
REVOKE ALL ON DATABASE martlet FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE martlet TO registry, config, commands, bridge;
GRANT registry, config, commands, bridge, pg_monitor TO martlet;

-- An open transaction that does nothing holds back the event feeds of everyone: it is ended.
SELECT format('CREATE SCHEMA IF NOT EXISTS %1$I AUTHORIZATION %1$I', name),
       format('REVOKE ALL ON SCHEMA %I FROM PUBLIC', name),
       format('ALTER ROLE %1$I SET search_path = %1$I', name),
       format('ALTER ROLE %I SET jit = off', name),
       format('ALTER ROLE %I SET idle_in_transaction_session_timeout = ''30s''', name)
  FROM unnest(ARRAY['registry', 'config', 'commands', 'bridge']) AS name \gexec
