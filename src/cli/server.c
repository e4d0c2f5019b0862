/* `perdure server`: from the settings to a server. */
#include "server/server.h"

#include <stddef.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/settings.h"
#include "os/os.h"

static const struct pd_option table[] = { PD_SETTINGS_OPTIONS };

/* Of `perdure cli`, redis-server and postgres. */
static const struct pd_option_hint hints[] = {
	{ "port", "resp" },
	{ "host", "bind" },
	{ "listen", "bind" },
	{ "dir", "data" },
	{ "maxmemory", "memory-budget" },
	{ "maxclients", "max-clients" },
	{ "http-port", "http" },
	{ "https-port", "https" },
	{ "tls", "tls-port" },
	{ "cert", "tls-cert-file" },
	{ "key", "tls-key-file" },
	{ "cacert", "tls-ca-file" },
	{ "loglevel", "log-level" },
	{ "in-memory", "memory" },
	{ NULL, NULL },
};

static const struct pd_options options = {
	.command = "perdure server",
	.synopsis = "perdure server [options]",
	.about = "Serves a data directory to Redis clients until SIGTERM, SIGINT or the command SHUTDOWN.\n"
		 "\n"
		 "Every write goes to one log, and is acknowledged when the log is where the durability "
		 "level\n"
		 "wants it: by default on stable storage. When the server starts, the log is replayed; it\n"
		 "listens meanwhile and answers -LOADING to commands that need the data.",
	.table = table,
	.count = sizeof table / sizeof *table,
	.hints = hints,
	.after =
		"Every option can also be given in the environment (--some-name is PERDURE_SOME_NAME) and in "
		"the\n"
		"configuration file, whose keys docs/configuration.md lists. The command line wins over the\n"
		"environment, and that over the file. SIGHUP loads the file anew.\n"
		"\n"
		"Examples:\n"
		"  perdure server\n"
		"  perdure server --data /var/lib/perdure --resp 6379\n"
		"  perdure server --config /etc/perdure/perdure.toml\n"
		"  perdure server --memory --durability none\n"
		"  redis-cli -p 7379 set greeting hello\n"
		"\n"
		"Exit status:\n"
		"  0  stopped as asked, everything is on stable storage\n"
		"  1  something failed while running\n"
		"  2  the command line, the environment or the configuration file is wrong\n"
		"  3  another process has the data directory\n"
		"  4  the data directory is damaged, or was written by a newer version",
};

/* What is wrong on the command line or in the environment is said as that of any other subcommand. */
static void say_problems(const struct pd_config *config, const struct pd_config_problems *problems)
{
	pd_settings_say(stderr, options.command, pd_config_file(config), problems,
			problems->errors > 0 ? PD_CONFIG_ERROR : PD_CONFIG_WARNING);
	if (problems->errors > 0)
		(void)fprintf(stderr, "Try '%s --help'%s.\n", options.command,
			      pd_config_file(config) != NULL ? ", or 'perdure config check FILE'" : "");
}

static int run(int argc, char **argv)
{
	struct pd_settings_given given = { 0 };
	struct pd_config_problems problems = { 0 };
	struct pd_config *config = NULL;
	struct pd_os *os = NULL;
	struct pd_error err;
	int status;

	if (!pd_options_take(&options, argc, argv, &given, &status))
		return status;
	if (pd_os_real_new(&os, &err) != 0) {
		(void)fprintf(stderr, "%s: %s\n", options.command, err.text);
		return PD_EXIT_FAILURE;
	}
	if (pd_settings_load(&given, os, &config, &problems, &status)) {
		bool wrong = problems.errors > 0;

		say_problems(config, &problems);
		pd_config_problems_done(&problems);
		status = wrong ? PD_EXIT_USAGE : pd_server_run(config);
	}
	pd_config_problems_done(&problems);
	pd_config_free(config);
	pd_os_free(os);
	return status;
}

const struct pd_subcommand pd_subcommand_server = { "server", "serve a data directory to clients", run };
