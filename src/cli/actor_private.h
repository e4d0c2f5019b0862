/* What the files of `perdure actor` share. */
#ifndef PD_CLI_ACTOR_PRIVATE_H
#define PD_CLI_ACTOR_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/options.h"

struct pd_actor_given {
	const char *data, *match, *tenant;
	const char *durability, *quota_keys, *quota_bytes, *quota_ops,
		*expire_after; /* as the server reads them */
	bool json, yes, clear;
};

#define PD_ACTOR_DATA                                                                       \
	{                                                                                   \
		"data", "DIR", PD_OPTION_TEXT, offsetof(struct pd_actor_given, data), 0, 0, \
			"Directory of the data (default: PERDURE_DATA, else ./data)."       \
	}
#define PD_ACTOR_JSON                                                                         \
	{                                                                                     \
		"o", "FORMAT", PD_OPTION_FORMAT, offsetof(struct pd_actor_given, json), 0, 0, \
			"text (default) or json."                                             \
	}

/* Parse the options and the one name behind them. false: end with *ret_status. */
bool pd_actor_take_name(const struct pd_options *options, int argc, char **argv, struct pd_actor_given *given,
			const char **ret_name, int *ret_status);

/* Subcommands that only look, with a server or without: actor_look.c. */
int pd_actor_list_run(int argc, char **argv);
int pd_actor_show_run(int argc, char **argv);

/* Subcommands that make something of the past: actor_restore.c. */
int pd_actor_fork_run(int argc, char **argv);
int pd_actor_restore_run(int argc, char **argv);
int pd_actor_revert_run(int argc, char **argv);
int pd_actor_undrop_run(int argc, char **argv);

#endif
