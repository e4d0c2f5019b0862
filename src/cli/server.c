/* `perdure server`: from the command line to struct pd_server_options. */
#include "server/server.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "engine/budget.h"
#include "log/log.h"

/* Values as they are given. */
struct given {
	const char *data, *bind, *config, *durability, *log_format, *notify;
	uint64_t resp, pg, http, grpc;
	uint64_t sync_interval_ms, segment_size, queue_depth, max_clients;
	uint64_t memory_budget, retention_ms, retention_size, compaction_rate;
	bool memory, accept_damage;
};

#define AT(field) offsetof(struct given, field)
#define PORT_MAX  65535

static const struct pd_option table[] = {
	{ "data", "DIR", PD_OPTION_TEXT, AT(data), 0, 0,
	  "Directory of the data (default ./data), created if missing. One server at a time." },
	{ "memory", NULL, PD_OPTION_SWITCH, AT(memory), 0, 0,
	  "Keep everything in memory and write no files: all is gone when the server ends." },
	{ "accept-damage", NULL, PD_OPTION_SWITCH, AT(accept_damage), 0, 0,
	  "Serve what can be read of a damaged log, even where nothing tells which actors have lost\n"
	  "writes. Look at 'perdure log verify' first." },
	{ "resp", "PORT", PD_OPTION_NUMBER, AT(resp), 0, PORT_MAX,
	  "Port of the Redis protocol (default 7379); 0 closes this door." },
	{ "pg", "PORT", PD_OPTION_NUMBER, AT(pg), 0, PORT_MAX,
	  "Port of the PostgreSQL protocol: not built yet, only 0 is taken." },
	{ "http", "PORT", PD_OPTION_NUMBER, AT(http), 0, PORT_MAX,
	  "Port of HTTP (default 8080), for /livez, /readyz, /health and /metrics; 0 closes this door." },
	{ "grpc", "PORT", PD_OPTION_NUMBER, AT(grpc), 0, PORT_MAX,
	  "Port of gRPC: not built yet, only 0 is taken." },
	{ "bind", "ADDRESS", PD_OPTION_TEXT, AT(bind), 0, 0,
	  "Address to listen on (default 127.0.0.1). Only addresses of this machine itself are taken\n"
	  "(127.0.0.0/8, ::1): there is no authentication yet." },
	{ "durability", "LEVEL", PD_OPTION_TEXT, AT(durability), 0, 0,
	  "When a write is acknowledged, unless the connection, actor or tenant says otherwise:\n"
	  "  none         evaluated; never synced for its own sake\n"
	  "  performance  in the log's memory, synced within the sync interval\n"
	  "  standard     handed to the kernel: a killed process loses nothing\n"
	  "  strict       on stable storage: a power cut loses nothing (default)\n"
	  "  full         and in the state on disk, too: nothing to replay after a power cut" },
	{ "sync-interval", "MS", PD_OPTION_DURATION_MS, AT(sync_interval_ms), 1, 3600000,
	  "How long performance and standard writes may stay unsynced (default 100ms)." },
	{ "memory-budget", "SIZE", PD_OPTION_SIZE, AT(memory_budget), PD_BUDGET_MIN, 0,
	  "Memory that the whole process may have (default: a quarter of the machine's, at least 64MiB).\n"
	  "What would not fit has to wait, or is refused with -OOM." },
	{ "retention-time", "DURATION", PD_OPTION_DURATION_MS, AT(retention_ms), 0, 0,
	  "How much of the past is kept (default 24h): a checkpoint from before it, and all of the log\n"
	  "since; 0: time does not matter." },
	{ "retention-size", "SIZE", PD_OPTION_SIZE, AT(retention_size), 0, 0,
	  "How much of the log is kept for that at most (default 10GiB); 0: its size does not matter.\n"
	  "Both 0: no more is kept than recovery needs." },
	{ "compaction-rate", "SIZE", PD_OPTION_SIZE, AT(compaction_rate), 0, 0,
	  "Bytes a second that compaction may read and write (default 0: no limit)." },
	{ "segment-size", "SIZE", PD_OPTION_SIZE, AT(segment_size), PD_LOG_SEGMENT_BYTES_MIN, 1u << 30,
	  "Size of the log's files, a multiple of 4KiB (default 64MiB, less with a memory budget below\n"
	  "1GiB)." },
	{ "queue-depth", "N", PD_OPTION_NUMBER, AT(queue_depth), 0, 64,
	  "Writes of the log in flight at once; 1 is synchronous; 0 measures the disk and chooses "
	  "(default)." },
	{ "max-clients", "N", PD_OPTION_NUMBER, AT(max_clients), 1, 1000000,
	  "Connections at once (default 10000), as far as the limit of open files allows." },
	{ "notify-keyspace-events", "EVENTS", PD_OPTION_TEXT, AT(notify), 0, 0,
	  "Which events of keys are published, in Redis's letters, such as KEA (default: none)." },
	{ "config", "FILE", PD_OPTION_TEXT, AT(config), 0, 0, "A configuration file: not built yet." },
	{ "log-format", "text", PD_OPTION_TEXT, AT(log_format), 0, 0,
	  "Form of the messages on standard error: text is the only one yet." },
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
	.environment_count = sizeof table / sizeof *table,
	.after = "Examples:\n"
		 "  perdure server\n"
		 "  perdure server --data /var/lib/perdure --resp 6379\n"
		 "  perdure server --memory --durability none\n"
		 "  redis-cli -p 7379 set greeting hello\n"
		 "\n"
		 "Exit status:\n"
		 "  0  stopped as asked, everything is on stable storage\n"
		 "  1  something failed while running\n"
		 "  2  the command line or the environment is wrong\n"
		 "  3  another process has the data directory\n"
		 "  4  the data directory is damaged, or was written by a newer version",
};

/* ---- checks beyond a range ---- */

/* Doors that are known and not there yet. */
static bool check_doors(const struct given *given)
{
	const struct {
		const char *name;
		uint64_t port;
	} doors[] = { { "pg", given->pg }, { "grpc", given->grpc } };

	for (size_t i = 0; i < sizeof doors / sizeof *doors; i++)
		if (doors[i].port != 0) {
			(void)pd_options_wrong(&options, "--%s is not built yet; only --%s 0 is taken",
					       doors[i].name, doors[i].name);
			return false;
		}
	return true;
}

static bool is_loopback(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

/* Only digits and what stands between them: no name. */
static bool is_numeric(const char *address)
{
	return address[0] != '\0' &&
	       address[strspn(address, strchr(address, ':') != NULL ? "0123456789abcdefABCDEF.:"
								    : "0123456789.")] == '\0';
}

static bool take_level(const struct given *given, enum pd_level *ret_level)
{
	static const char *const levels[] = { "none", "performance", "standard", "strict", NULL };
	const char *nearest;

	if (pd_level_parse(pd_slice_string(given->durability), ret_level)) {
		if (*ret_level <= PD_LEVEL_FULL)
			return true;
		(void)pd_options_wrong(&options, "durability %s is not built yet; the strongest is full",
				       given->durability);
		return false;
	}
	nearest = pd_nearest_name(given->durability, levels);
	if (nearest != NULL)
		(void)pd_options_wrong(&options, "no durability level is called \"%s\"; did you mean %s?",
				       given->durability, nearest);
	else
		(void)pd_options_wrong(&options,
				       "no durability level is called \"%s\"; there are none, performance, "
				       "standard and strict",
				       given->durability);
	return false;
}

static bool check(const struct given *given)
{
	if (given->config != NULL) {
		(void)pd_options_wrong(&options,
				       "--config is not built yet; use options or PERDURE_* variables");
		return false;
	}
	if (!check_doors(given))
		return false;
	if (strcmp(given->log_format, "text") != 0) {
		(void)pd_options_wrong(&options, "--log-format %s is not built yet; only text is",
				       given->log_format);
		return false;
	}
	if (!is_numeric(given->bind)) {
		(void)pd_options_wrong(&options,
				       "--bind is a numeric address, 127.0.0.1 or ::1, not a name: \"%s\"",
				       given->bind);
		return false;
	}
	if (!is_loopback(given->bind)) {
		(void)pd_options_wrong(&options,
				       "--bind %s is refused: there is no authentication yet, and whoever "
				       "reached that address could read and change everything. Use 127.0.0.1 "
				       "and a tunnel",
				       given->bind);
		return false;
	}
	if (given->segment_size % 4096 != 0) {
		(void)pd_options_wrong(&options, "--segment-size is a multiple of 4KiB");
		return false;
	}
	if (given->data[0] == '\0') {
		(void)pd_options_wrong(&options, "--data needs a directory");
		return false;
	}
	return true;
}

static int run(int argc, char **argv)
{
	struct pd_server_options server = PD_SERVER_OPTIONS_DEFAULT;
	struct given given = { .data = server.data_directory,
			       .bind = server.bind_address,
			       .log_format = "text",
			       .notify = "",
			       .resp = (uint64_t)server.resp_port,
			       .http = (uint64_t)server.http_port,
			       .sync_interval_ms = server.sync_interval_ms,
			       .max_clients = server.max_clients,
			       .retention_ms = server.retention_s * 1000,
			       .retention_size = server.retention_bytes };
	int status;

	if (!pd_options_take(&options, argc, argv, &given, &status))
		return status;
	if (given.durability == NULL)
		given.durability = pd_level_name(given.memory ? PD_LEVEL_NONE : server.default_level);
	if (!check(&given) || !take_level(&given, &server.default_level))
		return PD_EXIT_USAGE;
	if (given.memory && server.default_level > PD_LEVEL_NONE)
		return pd_options_wrong(&options,
					"--memory keeps nothing on disk: the only durability is none");
	server.data_directory = given.data;
	server.bind_address = given.bind;
	server.resp_port = (int)given.resp;
	server.http_port = (int)given.http;
	server.sync_interval_ms = (uint32_t)given.sync_interval_ms;
	server.segment_bytes = (uint32_t)given.segment_size;
	server.queue_depth = (unsigned)given.queue_depth;
	server.max_clients = (unsigned)given.max_clients;
	server.notify_keyspace_events = given.notify;
	server.in_memory = given.memory;
	server.accept_damage = given.accept_damage;
	server.memory_budget_bytes = given.memory_budget;
	server.retention_s = (given.retention_ms + 999) / 1000;
	server.retention_bytes = given.retention_size;
	server.compaction_bytes_per_s = given.compaction_rate;
	return pd_server_run(&server);
}

const struct pd_subcommand pd_subcommand_server = { "server", "serve a data directory to clients", run };
