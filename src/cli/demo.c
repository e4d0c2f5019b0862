/* `perdure demo`: which of its subcommands; the tour without any. */
#include <stdbool.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/demo_private.h"
#include "cli/verbs.h"

static const struct pd_verb table[] = {
	{ "tour", "a tour of two minutes, with a crash in it", pd_cli_demo_tour },
	{ "crash", "kill a server again and again, and count what it had acknowledged", pd_cli_demo_crash },
};

static const struct pd_verbs verbs = {
	.command = "perdure demo",
	.synopsis = "perdure demo [tour|crash] [options]",
	.about = "Shows what Perdure does on a scratch server, which listens on no port and touches nothing "
		 "but its\n"
		 "own directory. Without a subcommand: the tour.",
	.table = table,
	.count = sizeof table / sizeof *table,
	.after = "Examples:\n"
		 "  perdure demo\n"
		 "  perdure demo crash --rounds 100",
};

/* Is this about the demos themselves? */
static bool is_page(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "--describe") == 0;
}

static int run(int argc, char **argv)
{
	if (argc < 2 || (argv[1][0] == '-' && !is_page(argv[1])))
		return pd_cli_demo_tour(argc, argv);
	return pd_verbs_run(&verbs, argc, argv);
}

const struct pd_subcommand pd_subcommand_demo = { "demo", "a tour, and crashes to watch", run };
