#include "config/problem.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"

#define TEXT_SIZE 1024

void pd_config_problems_done(struct pd_config_problems *problems)
{
	for (size_t i = 0; i < problems->count; i++)
		pd_free(problems->items[i].text);
	pd_free(problems->items);
	*problems = (struct pd_config_problems){ 0 };
}

void pd_config_problem_add(struct pd_config_problems *problems, enum pd_config_severity severity,
			   unsigned line, const char *format, ...)
{
	struct pd_config_problem *grown;
	char text[TEXT_SIZE];
	va_list arguments;

	problems->errors += severity == PD_CONFIG_ERROR;
	problems->warnings += severity == PD_CONFIG_WARNING;
	if (problems->count >= PD_CONFIG_PROBLEMS_MAX)
		return;
	grown = pd_grow(problems->items, problems->count, &problems->capacity, sizeof *grown, 8);
	if (grown == NULL)
		return;
	problems->items = grown;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	grown[problems->count] = (struct pd_config_problem){ severity, line, pd_strdup(text) };
	if (grown[problems->count].text != NULL)
		problems->count++;
}

static unsigned rank(const struct pd_config_problem *problem)
{
	return problem->line > 0 ? problem->line : UINT_MAX;
}

void pd_config_problems_sort(struct pd_config_problems *problems)
{
	for (size_t i = 1; i < problems->count; i++) {
		struct pd_config_problem moved = problems->items[i];
		size_t at = i;

		for (; at > 0 && rank(problems->items + at - 1) > rank(&moved); at--)
			problems->items[at] = problems->items[at - 1];
		problems->items[at] = moved;
	}
}
