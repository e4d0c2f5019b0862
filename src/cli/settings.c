#include "cli/settings.h"

#include <stdlib.h>
#include <unistd.h>

#include "server/server.h"

bool pd_settings_load(const struct pd_settings_given *given, struct pd_os *os, struct pd_config **ret_config,
		      struct pd_config_problems *problems, int *ret_status)
{
	struct pd_config_sources sources = {
		.os = os, .file = given->config, .environment = environ, .flags = given->flags
	};
	struct pd_error err;

	if (sources.file == NULL)
		sources.file = getenv("PERDURE_CONFIG");
	if (sources.file != NULL && sources.file[0] == '\0')
		sources.file = NULL;
	if (pd_config_new(&sources, ret_config, problems, &err) == 0)
		return true;
	(void)fprintf(stderr, "perdure: %s\n", err.text);
	*ret_status = PD_EXIT_FAILURE;
	return false;
}

void pd_settings_say(FILE *to, const char *command, const char *file,
		     const struct pd_config_problems *problems, enum pd_config_severity least)
{
	size_t kept[PD_CONFIG_ERROR + 1] = { 0 };

	for (size_t i = 0; i < problems->count; i++) {
		const struct pd_config_problem *problem = problems->items + i;

		kept[problem->severity]++;
		if (problem->severity < least)
			continue;
		if (problem->line > 0)
			(void)fprintf(to, "%s:%u: ", file, problem->line);
		else if (command != NULL)
			(void)fprintf(to, "%s: ", command);
		(void)fprintf(to, "%s%s\n",
			      problem->severity == PD_CONFIG_ERROR     ? "error: "
			      : problem->severity == PD_CONFIG_WARNING ? "warning: "
								       : "",
			      problem->text);
	}
	if (problems->errors > kept[PD_CONFIG_ERROR])
		(void)fprintf(to, "and %zu errors more\n", problems->errors - kept[PD_CONFIG_ERROR]);
}
