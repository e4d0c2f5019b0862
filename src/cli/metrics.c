/* `perdure metrics docs`: what /metrics tells, explained. */
#include "server/metrics.h"

#include <stdio.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "server/server.h"

static const struct pd_options docs_options = {
	.command = "perdure metrics docs",
	.synopsis = "perdure metrics docs",
	.about = "Prints a page in Markdown about every metric that a server tells under /metrics: its name, "
		 "type,\nlabels and meaning.",
};

static int run_docs(int argc, char **argv)
{
	struct pd_buffer page;
	int status, result;

	if (!pd_options_take(&docs_options, argc, argv, NULL, &status))
		return status;
	pd_buffer_init(&page, PD_HTTP_PAGE_MAX);
	result = pd_metrics_write_docs(&page);
	if (result != 0)
		(void)fprintf(stderr, "perdure metrics docs: out of memory\n");
	else if (fwrite(page.data, 1, page.size, stdout) != page.size || fflush(stdout) != 0)
		result = PD_IO;
	pd_buffer_done(&page);
	return result == 0 ? PD_EXIT_OK : PD_EXIT_FAILURE;
}

static const struct pd_verb verbs[] = {
	{ "docs", "print a page about every metric, in Markdown", run_docs },
};

static int run(int argc, char **argv)
{
	static const struct pd_verbs metrics = {
		.command = "perdure metrics",
		.synopsis = "perdure metrics docs",
		.about = "What a server tells those who watch it. The figures themselves are at "
			 "http://127.0.0.1:8080/metrics\nwhile it runs ('perdure server --http PORT').",
		.table = verbs,
		.count = sizeof verbs / sizeof *verbs,
		.after = "Examples:\n"
			 "  perdure metrics docs\n"
			 "  curl -s http://127.0.0.1:8080/metrics\n"
			 "\n"
			 "Exit status:\n"
			 "  0  done\n"
			 "  1  it could not be printed\n"
			 "  2  the command line is wrong",
	};

	return pd_verbs_run(&metrics, argc, argv);
}

const struct pd_subcommand pd_subcommand_metrics = { "metrics", "explain what a server tells at /metrics",
						     run };
