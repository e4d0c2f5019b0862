/* Work that a server does on what is stored: started, watched and reported. */
#ifndef PD_CLI_UPKEEP_H
#define PD_CLI_UPKEEP_H

#include "cli/options.h"

/* A subcommand that does such work. */
struct pd_upkeep_verb {
	const struct pd_options *options; /* its table ends with PD_UPKEEP_OPTIONS */
	const char *const *command;       /* what the server is told; NULL ends it */
	const char *job;                  /* as PD.STORE STATUS calls it */
	const char *doing;                /* for the progress: "compacting" */
};

struct pd_upkeep_given {
	const char *data;
	bool no_wait, json;
};

#define PD_UPKEEP_OPTIONS                                                                      \
	{ "data",                                                                              \
	  "DIR",                                                                               \
	  PD_OPTION_TEXT,                                                                      \
	  offsetof(struct pd_upkeep_given, data),                                              \
	  0,                                                                                   \
	  0,                                                                                   \
	  "Directory of the data (default: PERDURE_DATA, else ./data)." },                     \
		{ "no-wait",                                                                   \
		  NULL,                                                                        \
		  PD_OPTION_SWITCH,                                                            \
		  offsetof(struct pd_upkeep_given, no_wait),                                   \
		  0,                                                                           \
		  0,                                                                           \
		  "Start it and return; 'perdure store status' tells how far it is." },        \
	{                                                                                      \
		"o", "FORMAT", PD_OPTION_FORMAT, offsetof(struct pd_upkeep_given, json), 0, 0, \
			"text (default) or json."                                              \
	}

#define PD_UPKEEP_EXIT_STATUSES                                                              \
	"Exit status:\n"                                                                     \
	"  0  it is done (with --no-wait: it has begun), and nothing is damaged\n"           \
	"  1  it failed, other work is going on, or no server is running on the directory\n" \
	"  2  the command line is wrong\n"                                                   \
	"  4  damage was found"

/* Parse, start, wait, report. Returns an exit status. When the same work is going on already, that is what is waited for.
 * Interrupted, the work itself goes on. */
int pd_upkeep_verb_run(const struct pd_upkeep_verb *verb, int argc, char **argv);
/* `perdure store status`: what is going on, or how the last work ended. */
int pd_upkeep_status_run(const struct pd_options *options, int argc, char **argv);

#endif
