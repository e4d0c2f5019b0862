#include "cli/verbs.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "cli/describe.h"
#include "cli/options.h"
#include "server/server.h"

#define VERBS_MAX 32

static void print_help(FILE *to, const struct pd_verbs *verbs)
{
	(void)fprintf(to, "usage: %s\n\n%s\n\nSubcommands:\n", verbs->synopsis, verbs->about);
	for (size_t i = 0; i < verbs->count; i++)
		(void)fprintf(to, "  %-14s%s\n", verbs->table[i].name, verbs->table[i].summary);
	(void)fprintf(to, "\nEach explains itself: %s %s --help\n\n%s\n", verbs->command,
		      verbs->table[0].name, verbs->after);
}

static const char *name_of(const struct pd_verbs *verbs, const char *word)
{
	for (const struct pd_verb_alias *alias = verbs->aliases; alias != NULL && alias->word != NULL;
	     alias++)
		if (strcmp(word, alias->word) == 0)
			return alias->name;
	return word;
}

int pd_verbs_run(const struct pd_verbs *verbs, int argc, char **argv)
{
	const char *names[VERBS_MAX + 1], *word;

	PD_ASSERT(verbs->count <= VERBS_MAX);
	if (argc < 2) {
		print_help(stderr, verbs);
		return PD_EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_help(stdout, verbs);
		return PD_EXIT_OK;
	}
	if (strcmp(argv[1], "--describe") == 0) {
		pd_describe_verbs(verbs);
		return PD_EXIT_OK;
	}
	word = name_of(verbs, argv[1]);
	for (size_t i = 0; i < verbs->count; i++) {
		if (strcmp(word, verbs->table[i].name) == 0)
			return verbs->table[i].run(argc - 1, argv + 1);
		names[i] = verbs->table[i].name;
	}
	names[verbs->count] = NULL;
	return pd_subcommand_unknown(verbs->command, argv[1], names);
}
