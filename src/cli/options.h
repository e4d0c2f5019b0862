/* Options of subcommands as data: one table says how they are parsed, what they are in the environment, and what
 * --help prints.
 *
 *     --name VALUE   --name=VALUE   --switch   -n VALUE   PERDURE_NAME=VALUE   --help
 */
#ifndef PD_CLI_OPTIONS_H
#define PD_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "config/value.h"

enum pd_option_kind {
	PD_OPTION_SWITCH,      /* bool; --name, or NAME=yes|no|true|false|1|0 in the environment */
	PD_OPTION_TEXT,        /* const char *; borrowed from argv or the environment */
	PD_OPTION_NUMBER,      /* uint64_t */
	PD_OPTION_SIZE,        /* uint64_t, bytes: "100k" "64MiB" "1GiB" "4096"; units are powers of 1024 */
	PD_OPTION_DURATION_MS, /* uint64_t, milliseconds: "100ms" "2s" "5m" "1h"; without a unit: milliseconds */
	PD_OPTION_INTERVAL_MS, /* uint64_t, milliseconds: "2" and "0.5" are seconds, "500ms" "2s" "1m"; not 0 */
	PD_OPTION_FORMAT,      /* bool: text (false) or json (true) */
	PD_OPTION_SETTING, /* const char *; a text for src/config to understand. Without an argument: "yes" */
};

struct pd_option {
	const char *name;     /* without "--"; one letter stands behind one dash: -o json */
	const char *argument; /* "DIR"; NULL for a switch */
	enum pd_option_kind kind;
	size_t offset;        /* where in the target its value goes */
	uint64_t least, most; /* for numbers, sizes and durations; most 0: no limit */
	const char *help;     /* lines separated by "\n" */
};

/* What somebody may say who knows another program. */
struct pd_option_hint {
	const char *wrong, *right; /* without "--" */
};

struct pd_options {
	const char *command;  /* "perdure server" */
	const char *synopsis; /* "perdure server [options]" */
	const char *about;    /* what it does: paragraphs, separated by empty lines */
	const struct pd_option *table;
	size_t count;
	/* Words that are not the subcommand's own: "[COMMAND [ARGUMENT...]]". Options come before them. NULL: its operands are its
	 * own, and options may come before, between and behind them. */
	const char *operands;
	const char *after; /* printed below the options; may be NULL: examples, exit statuses */
	/* So many of the table's first options count as PERDURE_NAME, too, where they are not given. */
	size_t environment_count;
	const struct pd_option_hint *hints; /* ended by one without a `wrong`; NULL: none */
};

enum pd_options_outcome {
	PD_OPTIONS_PARSED,
	PD_OPTIONS_HELPED, /* --help: the page has been printed; end with 0 */
	PD_OPTIONS_WRONG,  /* said on standard error; end with 2 */
};

/* argv[0] is skipped. Values go into `target`, which holds the defaults. *ret_operand: the index in argv of the first
 * word that is no option (argc: none); all that are not come behind those that are then. "--" ends the options. */
enum pd_options_outcome pd_options_parse(const struct pd_options *options, int argc, char **argv,
					 void *target, int *ret_operand);
/* The same as an exit status. true: go on; false: end with *ret_status. */
bool pd_options_begin(const struct pd_options *options, int argc, char **argv, void *target, int *ret_operand,
		      int *ret_status);
/* The same for a subcommand that takes options only. true: go on; false: end with *ret_status. */
bool pd_options_take(const struct pd_options *options, int argc, char **argv, void *target, int *ret_status);
/* Say "<command>: <what>" and where help is, on standard error. Returns the exit status 2. */
int pd_options_wrong(const struct pd_options *options, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Say on standard error that `command` ("perdure log") has no subcommand called `word`, and which of `names` (NULL ends
 * them) was perhaps meant. Returns the exit status 2. */
int pd_subcommand_unknown(const char *command, const char *word, const char *const *names);

#endif
