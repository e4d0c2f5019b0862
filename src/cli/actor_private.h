/* What the files of `perdure actor` share. */
#ifndef PD_CLI_ACTOR_PRIVATE_H
#define PD_CLI_ACTOR_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "cli/options.h"
#include "os/os.h"

struct pd_admin;
struct pd_output;

struct pd_actor_given {
	const char *data, *match, *tenant;
	const char *durability, *quota_keys, *quota_bytes, *quota_ops,
		*expire_after; /* as the server reads them */
	bool json, clear;
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

/* Of what a server is told to make. */
#define PD_ACTOR_ORDER_STATUSES                                                 \
	"Exit status:\n"                                                        \
	"  0  done\n"                                                           \
	"  1  refused, with the reason: nothing was changed; or no server is\n" \
	"     running on the directory\n"                                       \
	"  2  the command line is wrong"

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
/* Parse the options and the words behind them, as many as `what` has questions for those that are missing. false: end with *ret_status. */
bool pd_actor_take_words(const struct pd_options *options, int argc, char **argv, void *given,
			 const char *const *what, const char **ret_words, int *ret_status);
/* Have the server carry it out, and print what it says. The exit status. */
int pd_actor_order(const struct pd_options *options, const char *data, bool json, const char *const *words,
		   void (*print)(struct pd_output *output, struct pd_slice reply));
/* The same of a part of what it says. */
int pd_actor_ask(const struct pd_options *options, const char *data, bool json, const char *const *words,
		 struct pd_slice (*part)(struct pd_slice reply),
		 void (*print)(struct pd_output *output, struct pd_slice part));

/* Subcommands that carry an actor into a file, and back: actor_export.c, actor_transfer.c. */
int pd_actor_export_run(int argc, char **argv);
int pd_actor_import_run(int argc, char **argv);
/* Lines go to a server, cut anywhere; `as` size 0: under the name that they say. Nothing is there before the end. */
PD_MUST_CHECK int pd_actor_import_begin(struct pd_admin *admin, struct pd_slice as, bool replace,
					bool without_relations, struct pd_error *err);
PD_MUST_CHECK int pd_actor_import_put(struct pd_admin *admin, struct pd_slice lines, struct pd_error *err);
PD_MUST_CHECK int pd_actor_import_end(struct pd_admin *admin, struct pd_slice *ret_reply,
				      struct pd_error *err);
/* Where there is a name, bytes are read and written from its beginning to its end: PD_INVALID for what has neither, and what to say
 * `instead`. */
PD_MUST_CHECK int pd_actor_check_file(struct pd_os *os, const char *path, const char *instead,
				      struct pd_error *err);

/* Subcommands about relations to other actors: actor_relation.c. */
int pd_actor_relate_run(int argc, char **argv);
int pd_actor_unrelate_run(int argc, char **argv);
int pd_actor_relations_run(int argc, char **argv);

/* Subcommands about snapshots: actor_snapshot.c. */
int pd_actor_snapshot_run(int argc, char **argv);
int pd_actor_snapshots_run(int argc, char **argv);
int pd_actor_unsnapshot_run(int argc, char **argv);
int pd_actor_verify_run(int argc, char **argv);

#endif
