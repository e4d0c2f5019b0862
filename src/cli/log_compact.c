/* `perdure log compact`: drop what of the log need not be kept. */
#include <stddef.h>

#include "cli/log_private.h"
#include "cli/upkeep.h"

static const struct pd_option table[] = { PD_UPKEEP_OPTIONS };

static const struct pd_options options = {
	.command = "perdure log compact",
	.synopsis = "perdure log compact [options]",
	.about = "Lets the server of a data directory put a checkpoint of the state on disk, and drop the "
		 "part of\n"
		 "the log that neither recovery from it nor the retention asks for (--retention-time and\n"
		 "--retention-size of 'perdure server'). Servers do so by themselves; this does it now.",
	.table = table,
	.count = sizeof table / sizeof *table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure log compact\n"
		 "  perdure log compact --data /var/lib/perdure -o json\n"
		 "\n" PD_UPKEEP_EXIT_STATUSES,
};

int pd_cli_log_compact_run(int argc, char **argv)
{
	static const char *const command[] = { "PD.LOG", "COMPACT", NULL };
	static const struct pd_upkeep_verb verb = {
		.options = &options, .command = command, .job = "compact-log", .doing = "compacting the log"
	};

	return pd_upkeep_verb_run(&verb, argc, argv);
}
