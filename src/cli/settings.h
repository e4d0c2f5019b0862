/* The settings as options of a subcommand, and what is wrong with a configuration in words. */
#ifndef PD_CLI_SETTINGS_H
#define PD_CLI_SETTINGS_H

#include <stdio.h>

#include "cli/options.h"
#include "config/config.h"

/* What was given of them, as the target of the options; a subcommand's own target begins with it. */
struct pd_settings_given {
	const char *flags[PD_SETTING_COUNT];
	const char *config; /* the file */
};

#define PD_SETTINGS_OPTION(id, name, path, redis, kind, bits, least, most, initial, argument, help) \
	{ name,                                                                                     \
	  argument,                                                                                 \
	  PD_OPTION_SETTING,                                                                        \
	  offsetof(struct pd_settings_given, flags) + PD_SETTING_##id * sizeof(const char *),       \
	  0,                                                                                        \
	  0,                                                                                        \
	  help },
/* Rows of a table of options: one a setting, and the file. */
#define PD_SETTINGS_OPTIONS                                                                            \
	PD_SETTING_LIST(PD_SETTINGS_OPTION)                                                            \
	{                                                                                              \
		"config", "FILE", PD_OPTION_TEXT, offsetof(struct pd_settings_given, config), 0, 0,    \
			"Configuration file: TOML, or JSON if its name ends with .json. See 'perdure " \
			"config --help'."                                                              \
	}
/* The command line and what it means, from all sources: for a subcommand with PD_SETTINGS_OPTIONS. *ret_config even with errors
 * among the problems. false: end with *ret_status. */
bool pd_settings_load(const struct pd_settings_given *given, struct pd_os *os, struct pd_config **ret_config,
		      struct pd_config_problems *problems, int *ret_status);

/* A line each: "FILE:LINE: error: ..."; what has no line: "perdure server: ...", by the command's name, if it is given. */
void pd_settings_say(FILE *to, const char *command, const char *file,
		     const struct pd_config_problems *problems, enum pd_config_severity least);

#endif
