/* One order for several actors: which they are, to what moment, several at a time, and what came of each.
 *
 * They are listed once, and the moment is found once, before the first: all are taken to the same. Each is an order of its own to the
 * server, over one of a few connections; a task has each of these. Whoever is at the terminal sees how far it is, and may interrupt: then
 * none is begun any more, and those that are under way come to their end; interrupted again, they are left alone. */
#ifndef PD_CLI_ACTOR_BULK_H
#define PD_CLI_ACTOR_BULK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "base/timestamp.h"
#include "cli/options.h"
#include "cli/output.h"
#include "engine/engine.h"

struct pd_actor_names;
struct pd_admin;
struct pd_cli_past;

/* ---- what was said ---- */

struct pd_bulk_given {
	const char *tenant, *match;
	uint64_t parallel;
	bool all, yes, dry_run;
};

#define PD_BULK_PARALLEL     4
#define PD_BULK_PARALLEL_MAX 64
#define PD_BULK_DEFAULTS                     \
	{                                    \
		.parallel = PD_BULK_PARALLEL \
	}

/* Rows of a subcommand's table; `type` is its struct of given values, with a struct pd_bulk_given called `bulk` in it. */
#define PD_BULK_OPTIONS(type)                                                          \
	{ "all",                                                                       \
	  NULL,                                                                        \
	  PD_OPTION_SWITCH,                                                            \
	  offsetof(type, bulk.all),                                                    \
	  0,                                                                           \
	  0,                                                                           \
	  "All actors of the tenant, instead of one that is named." },                 \
		{ "tenant",                                                            \
		  "TENANT",                                                            \
		  PD_OPTION_TEXT,                                                      \
		  offsetof(type, bulk.tenant),                                         \
		  0,                                                                   \
		  0,                                                                   \
		  "All of this one (default, with --all and --match: \"default\")." }, \
		{ "match",                                                             \
		  "PATTERN",                                                           \
		  PD_OPTION_TEXT,                                                      \
		  offsetof(type, bulk.match),                                          \
		  0,                                                                   \
		  0,                                                                   \
		  "Those of the tenant whose names match, as in KEYS: 'user:*'." },    \
		{ "parallel",                                                          \
		  "N",                                                                 \
		  PD_OPTION_NUMBER,                                                    \
		  offsetof(type, bulk.parallel),                                       \
		  1,                                                                   \
		  PD_BULK_PARALLEL_MAX,                                                \
		  "So many at a time (default 4)." },                                  \
	{                                                                              \
		"dry-run", NULL, PD_OPTION_SWITCH, offsetof(type, bulk.dry_run), 0, 0, \
			"Only say what would be done."                                 \
	}
/* And where it cannot be taken back by whoever has mistaken a pattern. */
#define PD_BULK_OPTION_YES(type)                                                       \
	{                                                                              \
		"yes", NULL, PD_OPTION_SWITCH, offsetof(type, bulk.yes), 0, 0,         \
			"Do it to several: without it they are only counted and told." \
	}

#define PD_BULK_DRY_ALONE "--dry-run tells which of several it would be: say --all, --tenant or --match"

#define PD_BULK_OPTION_JSON(type)                                                     \
	{                                                                             \
		"o", "FORMAT", PD_OPTION_FORMAT, offsetof(type, json), 0, 0,          \
			"text (default) or json: one object, of several a line each." \
	}

#define PD_BULK_ABOUT                                                                                        \
	"Several are taken with --all, --tenant or --match: those that there are now. The moment is found "  \
	"once,\nso that it is the same for all, and each is taken by itself, a few at a time. An error "     \
	"with "                                                                                              \
	"one does\nnot keep the others from it. Interrupted, it says what was done, and goes on when it is " \
	"repeated."

#define PD_BULK_STATUSES                                                                                     \
	"Exit status:\n"                                                                                     \
	"  0  done\n"                                                                                        \
	"  1  refused, with the reason: nothing was changed; or no server is running on the directory. Of\n" \
	"     several: of some, each of which is named, or none is selected\n"                               \
	"  2  the command line is wrong, or --yes is missing"

/* Are several meant? */
bool pd_bulk_is_asked(const struct pd_bulk_given *given);
/* Parse the options and the words behind them: the actor's name, unless several are meant, and what comes behind it, a snapshot's name.
 * `wanted`: what is asked where that is missing; "": it need not be there; NULL: none is taken. What was not said is NULL. false: end with
 * *ret_status. */
bool pd_bulk_take(const struct pd_options *options, int argc, char **argv, void *given,
		  const struct pd_bulk_given *bulk, const char *wanted, const char **ret_name,
		  const char **ret_operand, int *ret_status);

/* ---- what is to be done ---- */

enum pd_bulk_outcome {
	PD_BULK_DONE,
	PD_BULK_UNCHANGED, /* it is so already */
	PD_BULK_SKIPPED,   /* it was not there then: it stays as it is */
	PD_BULK_FAILED,
	PD_BULK_ABANDONED, /* nobody waited for its end */
	PD_BULK_OUTCOMES,
};

struct pd_bulk_result {
	size_t index; /* in the list */
	enum pd_bulk_outcome outcome;
	struct pd_buffer reply; /* of the server; empty: there is none */
	struct pd_error err;    /* unless it is done or unchanged */
};

struct pd_bulk {
	const struct pd_options *options;
	const struct pd_bulk_given *given;
	const char *data;
	const char *doing, *done; /* "restoring", "restored" */
	bool json;
	bool needs_yes;
	bool reads;        /* where no server runs the directory is enough */
	bool dry_run_asks; /* what would be done is asked for each; else their names are all */
	bool has_moment;   /* it is of a moment: `at`, NULL: now */
	unsigned most;     /* at a time; 0: as many as are wished */
	const char *at;    /* as it was said; then, unless it is a snapshot's, `bookmark` */
	const char *verb;  /* PD.ACTOR VERB name [operand] [AT at] [tail...] */
	const char *operand, *tail[2];
	const char *only;        /* the one that was named; NULL: those that are selected */
	const char *directory;   /* of an export */
	struct pd_admin *target; /* of what goes to another server, one after the other */
	const char *as;          /* its name there; NULL: as it is called */
	bool replaces;           /* in the place of the one that has the name */
	bool without_relations;  /* of an export */
	/* Where they are neither a server's nor a directory's: all names, and the lines of one, a few at a time. NULL: they are. What `take` fails with ends it. */
	int (*list)(const struct pd_bulk *bulk, struct pd_actor_names *names, struct pd_error *err);
	int (*fetch)(const struct pd_bulk *bulk, struct pd_slice name,
		     int (*take)(void *context, struct pd_slice lines, struct pd_error *err), void *context,
		     struct pd_error *err);
	void *source; /* theirs */
	/* One of them, in a task of its own: NULL: pd_bulk_ask(). What it fails with is told of that one. */
	int (*carry_out)(const struct pd_bulk *bulk, struct pd_cli_past *past, struct pd_slice name,
			 struct pd_bulk_result *result, struct pd_error *err);
	void (*print)(struct pd_output *output, struct pd_slice reply); /* of a dry run that asks: a line */

	/* Known before the first; empty: it has none. */
	char bookmark[PD_BOOKMARK_SIZE], time[PD_TIMESTAMP_SIZE];
	char before[PD_BOOKMARK_SIZE]; /* the newest moment, from before anything was done */
	atomic_bool stopped;           /* none is to be begun any more */
	atomic_bool abandoned;         /* nor waited for */
};

/* All of it. Returns an exit status. */
int pd_bulk_run(struct pd_bulk *bulk);

/* In a task: have the server do it to one. The reply is in `result`. */
PD_MUST_CHECK int pd_bulk_ask(const struct pd_bulk *bulk, struct pd_cli_past *past, struct pd_slice name,
			      struct pd_bulk_result *result, struct pd_error *err);
/* Into a file of its own in bulk->directory; of a directory, to bulk->target: actor_export.c. */
PD_MUST_CHECK int pd_bulk_export(const struct pd_bulk *bulk, struct pd_cli_past *past, struct pd_slice name,
				 struct pd_bulk_result *result, struct pd_error *err);
PD_MUST_CHECK int pd_bulk_carry_over(const struct pd_bulk *bulk, struct pd_cli_past *past,
				     struct pd_slice name, struct pd_bulk_result *result,
				     struct pd_error *err);
/* It may be there. */
PD_MUST_CHECK int pd_bulk_make_directory(const char *path, struct pd_error *err);
/* A moment that is a snapshot's is another one for each. */
bool pd_bulk_is_pinned(const struct pd_bulk *bulk);

/* ---- names: actor_look.c ---- */

struct pd_actor_names {
	struct pd_buffer bytes; /* one behind the other: as they can be said, [tenant/]name */
	struct pd_buffer ends;  /* size_t of each */
	size_t count;
};
void pd_actor_names_init(struct pd_actor_names *names);
void pd_actor_names_done(struct pd_actor_names *names);
struct pd_slice pd_actor_names_at(const struct pd_actor_names *names, size_t index);
/* One, as it was said. */
PD_MUST_CHECK int pd_actor_names_add(struct pd_actor_names *names, struct pd_slice name,
				     struct pd_error *err);
/* Those that there are now, of the server or of the directory. `tenant` NULL: "default"; `match` NULL: all. */
PD_MUST_CHECK int pd_actor_names_list(struct pd_actor_names *names, const char *data, const char *tenant,
				      const char *match, struct pd_error *err);

/* ---- workers: actor_bulk_work.c ---- */

struct pd_bulk_counts {
	uint64_t of[PD_BULK_OUTCOMES];
	uint64_t not_begun, elapsed_us;
	bool interrupted;
};
/* All of them, with progress; what came of each is printed. `past` is open. 0, or what kept it from beginning. */
PD_MUST_CHECK int pd_bulk_work(struct pd_bulk *bulk, struct pd_cli_past *past,
			       const struct pd_actor_names *names, struct pd_bulk_counts *ret_counts,
			       struct pd_error *err);

/* ---- for them: actor_bulk.c ---- */
/* Another connection, or the directory. 0, or an exit status: then it has said why. End it in any case. */
int pd_bulk_open(const struct pd_bulk *bulk, struct pd_cli_past *past);
/* Is there a line for it? Else it is only counted. */
bool pd_bulk_tells(const struct pd_bulk *bulk, const struct pd_bulk_result *result);
/* What came of one: that line. */
void pd_bulk_print(const struct pd_bulk *bulk, struct pd_slice name, const struct pd_bulk_result *result);

#endif
