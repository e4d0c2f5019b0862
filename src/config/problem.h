/* All that is wrong with a configuration, told at once. */
#ifndef PD_CONFIG_PROBLEM_H
#define PD_CONFIG_PROBLEM_H

#include <stddef.h>

#include "base/error.h"

#define PD_CONFIG_PROBLEMS_MAX 100 /* kept; more are counted only */

enum pd_config_severity {
	PD_CONFIG_NOTE,    /* good to know */
	PD_CONFIG_WARNING, /* it works, and may be regretted */
	PD_CONFIG_ERROR,   /* nothing starts with it */
};

struct pd_config_problem {
	enum pd_config_severity severity;
	unsigned line; /* of the file; 0: it is not in the file */
	char *text;
};

struct pd_config_problems {
	struct pd_config_problem *items;
	size_t count, capacity;
	size_t errors, warnings; /* of all, also those that were not kept */
};

void pd_config_problems_done(struct pd_config_problems *problems);
/* Without memory it is counted only. */
void pd_config_problem_add(struct pd_config_problems *problems, enum pd_config_severity severity,
			   unsigned line, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* By their lines, those that have none last; else as they were. */
void pd_config_problems_sort(struct pd_config_problems *problems);

#endif
