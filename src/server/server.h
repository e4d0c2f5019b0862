/* The server: one engine, the network, and the doors to it, in one process. */
#ifndef PD_SERVER_SERVER_H
#define PD_SERVER_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "log/level.h"
#include "server/message.h"

/* What `perdure server` and its like end with. */
enum pd_exit {
	PD_EXIT_OK = 0,
	PD_EXIT_FAILURE = 1, /* something failed while running */
	PD_EXIT_USAGE = 2,   /* the command line, the environment or the configuration is wrong */
	PD_EXIT_BUSY = 3,    /* another process has the data directory */
	PD_EXIT_DAMAGED = 4, /* the data directory is damaged, or of a newer format */
	PD_EXIT_REFUSED = 5, /* the server answered a command with an error */
};

struct pd_server_options {
	const char *data_directory;
	const char *bind_address; /* numeric; loopback only, for want of authentication */
	int resp_port;            /* 0: off */
	const char *http_address;
	int http_port; /* 0: off */
	enum pd_level default_level;
	uint32_t sync_interval_ms;
	uint32_t segment_bytes; /* 0: as the memory budget allows, up to 64 MiB */
	unsigned queue_depth;   /* 0: the log measures the disk and chooses */
	unsigned max_clients;
	const char *notify_keyspace_events; /* in Redis's letters; NULL: none */
	bool allow_open;                    /* without a user also where other machines reach it */
	bool in_memory;                     /* no files */
	bool accept_damage;                 /* serve what can be read of a log that is damaged */
	/* Of the whole process, in bytes; 0: a quarter of what the machine has (engine/budget.h). */
	uint64_t memory_budget_bytes;
	uint64_t retention_s, retention_bytes;
	uint64_t view_age_s;             /* 0: no limit */
	uint64_t compaction_bytes_per_s; /* 0: no limit */
	enum pd_message_format message_format;
	enum pd_message_level message_level;
	bool no_core_dumps;
};

struct pd_config;

/* What the settings say. The texts are the configuration's. */
void pd_server_options_from(const struct pd_config *config, struct pd_server_options *ret_options);
/* Serve until SIGTERM, SIGINT or SHUTDOWN, as the configuration says, which SIGHUP loads anew; says on standard error what an
 * operator has to know. Returns an enum pd_exit. */
int pd_server_run(struct pd_config *config);

/* Which exit status stands for an error code. */
int pd_server_exit_status(int code);

#endif
