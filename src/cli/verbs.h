/* A subcommand that has subcommands of its own: `perdure log dump`. */
#ifndef PD_CLI_VERBS_H
#define PD_CLI_VERBS_H

#include <stddef.h>

struct pd_verb {
	const char *name, *summary;
	int (*run)(int argc, char **argv); /* argv[0] is its name */
};

/* Another word for one, which is not shown. */
struct pd_verb_alias {
	const char *word, *name;
};

struct pd_verbs {
	const char *command;  /* "perdure log" */
	const char *synopsis; /* "perdure log dump|verify [options]" */
	const char *about;
	const struct pd_verb *table;
	size_t count;
	const char *after;                   /* examples, exit statuses */
	const struct pd_verb_alias *aliases; /* ended by one without a word; NULL: none */
};

/* Find the verb argv[1] and run it; print the page for --help, or when there is none. Returns the exit status. */
int pd_verbs_run(const struct pd_verbs *verbs, int argc, char **argv);

#endif
