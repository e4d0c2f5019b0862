#include "cli/describe.h"

#include <stdio.h>

#include "cli/output.h"

static const char *kind_name(const struct pd_option *option)
{
	switch (option->kind) {
	case PD_OPTION_SWITCH:
		return "switch";
	case PD_OPTION_NUMBER:
		return "number";
	case PD_OPTION_SIZE:
		return "size";
	case PD_OPTION_DURATION_MS:
		return "duration";
	case PD_OPTION_INTERVAL_MS:
		return "interval";
	case PD_OPTION_FORMAT:
		return "format";
	case PD_OPTION_TEXT:
		return "text";
	case PD_OPTION_SETTING:
		break;
	}
	return option->argument == NULL ? "switch" : "setting";
}

/* Fields that all pages have. */
static void head_fields(struct pd_output *output, const char *command, const char *synopsis,
			const char *about, const char *after)
{
	pd_output_string_field(output, "command", command);
	pd_output_string_field(output, "synopsis", synopsis);
	pd_output_string_field(output, "about", about);
	pd_output_string_field(output, "after", after != NULL ? after : "");
}

void pd_describe_options(const struct pd_options *options)
{
	struct pd_output output = { .file = stdout };

	pd_output_open(&output, NULL, '{');
	head_fields(&output, options->command, options->synopsis, options->about, options->after);
	pd_output_string_field(&output, "operands", options->operands != NULL ? options->operands : "");
	pd_output_open(&output, "options", '[');
	for (size_t i = 0; i < options->count; i++) {
		const struct pd_option *option = options->table + i;

		pd_output_open(&output, NULL, '{');
		pd_output_string_field(&output, "name", option->name);
		pd_output_string_field(&output, "argument", option->argument != NULL ? option->argument : "");
		pd_output_string_field(&output, "kind", kind_name(option));
		pd_output_bool_field(&output, "environment",
				     i < options->environment_count || option->kind == PD_OPTION_SETTING);
		pd_output_string_field(&output, "help", option->help != NULL ? option->help : "");
		pd_output_close(&output, '}');
	}
	pd_output_close(&output, ']');
	pd_output_close(&output, '}');
	pd_output_end(&output);
}

void pd_describe_verbs(const struct pd_verbs *verbs)
{
	struct pd_output output = { .file = stdout };

	pd_output_open(&output, NULL, '{');
	head_fields(&output, verbs->command, verbs->synopsis, verbs->about, verbs->after);
	pd_output_open(&output, "verbs", '[');
	for (size_t i = 0; i < verbs->count; i++) {
		pd_output_open(&output, NULL, '{');
		pd_output_string_field(&output, "name", verbs->table[i].name);
		pd_output_string_field(&output, "summary", verbs->table[i].summary);
		pd_output_close(&output, '}');
	}
	pd_output_close(&output, ']');
	pd_output_close(&output, '}');
	pd_output_end(&output);
}
