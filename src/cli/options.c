#include "cli/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/describe.h"
#include "server/server.h"

#define NAME_SIZE_MAX 64 /* of a word that is compared with names, and of a variable in the environment */

/* ---- values ---- */

static bool parse_format(struct pd_slice text, bool *ret_json)
{
	*ret_json = pd_slice_equal_nocase(text, "json");
	return *ret_json || pd_slice_equal_nocase(text, "text");
}

/* ---- errors ---- */

int pd_options_wrong(const struct pd_options *options, const char *format, ...)
{
	va_list arguments;

	(void)fprintf(stderr, "%s: ", options->command);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fprintf(stderr, "\nTry '%s --help'.\n", options->command);
	return PD_EXIT_USAGE;
}

int pd_subcommand_unknown(const char *command, const char *word, const char *const *names)
{
	const char *nearest = pd_nearest_name(word, names);

	(void)fprintf(stderr, "%s: there is no subcommand \"%s\"", command, word);
	if (nearest != NULL)
		(void)fprintf(stderr, "; did you mean \"%s\"?", nearest);
	for (size_t i = 0; nearest == NULL && names[i] != NULL; i++)
		(void)fprintf(stderr, "%s%s", i == 0 ? "; there are " : ", ", names[i]);
	(void)fprintf(stderr, "\nTry '%s --help'.\n", command);
	return PD_EXIT_USAGE;
}

#define NAMES_MAX 64

/* One letter has one dash. */
static const char *dashes(const struct pd_option *option)
{
	return option->name[1] == '\0' ? "-" : "--";
}

static const char *hinted(const struct pd_options *options, const char *name)
{
	for (const struct pd_option_hint *hint = options->hints; hint != NULL && hint->wrong != NULL; hint++)
		if (strcmp(hint->wrong, name) == 0)
			return hint->right;
	return NULL;
}

static void say_unknown(const struct pd_options *options, const char *name)
{
	const char *names[NAMES_MAX + 2];
	const char *nearest;
	size_t count = 0;

	for (size_t i = 0; i < options->count && count < NAMES_MAX; i++)
		if (options->table[i].name[1] != '\0')
			names[count++] = options->table[i].name;
	names[count++] = "help";
	names[count] = NULL;
	nearest = hinted(options, name);
	if (nearest == NULL)
		nearest = pd_nearest_name(name, names);
	if (nearest != NULL)
		(void)pd_options_wrong(options, "there is no option --%s; did you mean --%s?", name, nearest);
	else
		(void)pd_options_wrong(options, "there is no option --%s", name);
}

static const char *kind_words(enum pd_option_kind kind)
{
	switch (kind) {
	case PD_OPTION_SWITCH:
		return "yes or no";
	case PD_OPTION_NUMBER:
		return "a number";
	case PD_OPTION_SIZE:
		return "a size such as 64MiB, 1GiB or 100k";
	case PD_OPTION_DURATION_MS:
		return "a duration such as 100ms, 2s or 5m";
	case PD_OPTION_INTERVAL_MS:
		return "seconds such as 2 or 0.5, or a duration such as 500ms";
	case PD_OPTION_FORMAT:
		return "text or json";
	case PD_OPTION_TEXT:
	case PD_OPTION_SETTING:
		break;
	}
	return "a text";
}

/* ---- setting ---- */

/* A limit as one would write it. */
static const char *limit_text(enum pd_option_kind kind, uint64_t limit, char text[NAME_SIZE_MAX])
{
	static const char *const units[] = { "", "KiB", "MiB", "GiB", "TiB" };
	size_t unit = 0;

	while (kind == PD_OPTION_SIZE && limit != 0 && limit % 1024 == 0 && unit < 4) {
		limit /= 1024;
		unit++;
	}
	(void)snprintf(text, NAME_SIZE_MAX, "%llu%s", (unsigned long long)limit, units[unit]);
	return text;
}

static void say_out_of_range(const struct pd_options *options, const struct pd_option *option,
			     const char *where, const char *value)
{
	char least[NAME_SIZE_MAX], most[NAME_SIZE_MAX];

	if (option->most == 0)
		(void)pd_options_wrong(options, "%s %s is too little: at least %s", where, value,
				       limit_text(option->kind, option->least, least));
	else
		(void)pd_options_wrong(options, "%s %s is out of range: %s to %s", where, value,
				       limit_text(option->kind, option->least, least),
				       limit_text(option->kind, option->most, most));
}

/* `where` is how the value came: "--name" or "PERDURE_NAME". */
static bool set_value(const struct pd_options *options, const struct pd_option *option, const char *where,
		      const char *value, void *target)
{
	struct pd_slice text = pd_slice_string(value);
	char *place = (char *)target + option->offset;
	int64_t number64 = 0;
	uint64_t number = 0;
	bool understood = false;

	switch (option->kind) {
	case PD_OPTION_TEXT:
	case PD_OPTION_SETTING:
		memcpy(place, &value, sizeof value);
		return true;
	case PD_OPTION_SWITCH:
		understood = pd_parse_switch(text, (bool *)place);
		break;
	case PD_OPTION_FORMAT:
		understood = parse_format(text, (bool *)place);
		break;
	case PD_OPTION_NUMBER:
		understood = pd_slice_to_int64(text, &number64) && number64 >= 0;
		number = (uint64_t)number64;
		break;
	case PD_OPTION_SIZE:
		understood = pd_parse_size(text, &number);
		break;
	case PD_OPTION_DURATION_MS:
		understood = pd_parse_duration_ms(text, &number);
		break;
	case PD_OPTION_INTERVAL_MS:
		understood = pd_parse_interval_ms(text, &number);
		break;
	}
	if (!understood) {
		(void)pd_options_wrong(options, "%s is %s, not \"%s\"", where, kind_words(option->kind),
				       value);
		return false;
	}
	if (option->kind == PD_OPTION_SWITCH || option->kind == PD_OPTION_FORMAT)
		return true;
	if (number < option->least || (option->most != 0 && number > option->most)) {
		say_out_of_range(options, option, where, value);
		return false;
	}
	memcpy(place, &number, sizeof number);
	return true;
}

/* "--some-name" is PERDURE_SOME_NAME. */
static void environment_name(const struct pd_option *option, char name[NAME_SIZE_MAX])
{
	size_t at = (size_t)snprintf(name, NAME_SIZE_MAX, "PERDURE_");

	for (const char *from = option->name; *from != '\0' && at + 1 < NAME_SIZE_MAX; from++) {
		char c = *from;

		if (c == '-')
			c = '_';
		else if (c >= 'a' && c <= 'z')
			c = (char)(c - ('a' - 'A'));
		name[at++] = c;
	}
	name[at] = '\0';
}

static bool take_environment(const struct pd_options *options, void *target)
{
	for (size_t i = 0; i < options->environment_count; i++) {
		const struct pd_option *option = options->table + i;
		char name[NAME_SIZE_MAX];
		const char *value;

		environment_name(option, name);
		value = getenv(name);
		if (value != NULL && !set_value(options, option, name, value, target))
			return false;
	}
	return true;
}

/* ---- the page ---- */

enum page { PAGE_NONE, PAGE_HELP, PAGE_DESCRIPTION };

static void print_help(const struct pd_options *options)
{
	(void)printf("usage: %s\n\n%s\n", options->synopsis, options->about);
	if (options->count > 0)
		(void)printf("\nOptions:\n");
	for (size_t i = 0; i < options->count; i++) {
		const struct pd_option *option = options->table + i;
		const char *line = option->help;

		(void)printf("  %s%s%s%s\n", dashes(option), option->name,
			     option->argument != NULL ? " " : "",
			     option->argument != NULL ? option->argument : "");
		while (line != NULL && *line != '\0') {
			size_t size = strcspn(line, "\n");

			(void)printf("        %.*s\n", (int)size, line);
			line += size + (line[size] == '\n');
		}
	}
	(void)printf("  --help\n        Print this page; --describe prints it as JSON.\n");
	if (options->environment_count > 1)
		(void)printf("\nEvery option can also be given in the environment: --some-name is "
			     "PERDURE_SOME_NAME.\nThe command line wins.\n");
	if (options->after != NULL)
		(void)printf("\n%s\n", options->after);
}

/* ---- the command line ---- */

static const struct pd_option *find_option(const struct pd_options *options, const char *name, size_t size)
{
	for (size_t i = 0; i < options->count; i++)
		if (strlen(options->table[i].name) == size && memcmp(options->table[i].name, name, size) == 0)
			return options->table + i;
	return NULL;
}

/* One option at argv[*at], which is left at its last word. */
static bool take_option(const struct pd_options *options, int argc, char **argv, int *at, void *target)
{
	const char *name = argv[*at] + (argv[*at][1] == '-' ? 2 : 1);
	size_t size = strcspn(name, "=");
	const struct pd_option *option = find_option(options, name, size);
	const char *value = name[size] == '=' ? name + size + 1 : NULL;
	char where[NAME_SIZE_MAX + 2], unknown[NAME_SIZE_MAX];

	if (option == NULL) {
		(void)snprintf(unknown, sizeof unknown, "%.*s", (int)(size < 60 ? size : 60), name);
		say_unknown(options, unknown);
		return false;
	}
	if (option->argument == NULL && value == NULL) {
		value = "yes";
	} else if (value == NULL) {
		if (*at + 1 >= argc) {
			(void)pd_options_wrong(options, "%s%s needs a value: %s%s %s", dashes(option),
					       option->name, dashes(option), option->name, option->argument);
			return false;
		}
		value = argv[++*at];
	}
	(void)snprintf(where, sizeof where, "%s%s", dashes(option), option->name);
	return set_value(options, option, where, value, target);
}

static bool is_operand(const char *word)
{
	return word[0] != '-' || word[1] == '\0';
}

/* Which page is asked for, if one is. Not among the operands: `perdure cli SET key -h` is about a value. */
static enum page asked_page(const struct pd_options *options, int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const struct pd_option *option;
		const char *name;

		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return PAGE_HELP;
		if (strcmp(argv[i], "--describe") == 0)
			return PAGE_DESCRIPTION;
		if (options->operands == NULL)
			continue;
		if (is_operand(argv[i]))
			return PAGE_NONE;
		name = argv[i] + (argv[i][1] == '-' ? 2 : 1);
		option = find_option(options, name, strlen(name));
		i += option != NULL && option->argument != NULL;
	}
	return PAGE_NONE;
}

static void print_page(const struct pd_options *options, enum page page)
{
	if (page == PAGE_HELP)
		print_help(options);
	else
		pd_describe_options(options);
}

/* Take argv[from, from + count) to the place `to` before it; what was between comes after. */
static void move_words(char **argv, int to, int from, int count)
{
	for (; to < from && count > 0; to++, from++, count--) {
		char *word = argv[from];

		memmove(argv + to + 1, argv + to, (size_t)(from - to) * sizeof *argv);
		argv[to] = word;
	}
}

enum pd_options_outcome pd_options_parse(const struct pd_options *options, int argc, char **argv,
					 void *target, int *ret_operand)
{
	enum page page = asked_page(options, argc, argv);
	int operand = 1; /* the first one: those that were met are behind the options */
	int begin, at;

	if (page != PAGE_NONE) {
		print_page(options, page);
		return PD_OPTIONS_HELPED;
	}
	if (!take_environment(options, target))
		return PD_OPTIONS_WRONG;
	for (at = 1; at < argc; at++) {
		bool last = strcmp(argv[at], "--") == 0;

		if (is_operand(argv[at]) && options->operands != NULL)
			break;
		if (is_operand(argv[at]))
			continue;
		if (!last && argv[at][1] != '-' &&
		    (argv[at][2] != '\0' || find_option(options, argv[at] + 1, 1) == NULL)) {
			(void)pd_options_wrong(options, "there is no option %s; options begin with --",
					       argv[at]);
			return PD_OPTIONS_WRONG;
		}
		begin = at;
		if (!last && !take_option(options, argc, argv, &at, target))
			return PD_OPTIONS_WRONG;
		move_words(argv, operand, begin, at - begin + 1);
		operand += at - begin + 1;
		if (last)
			break;
	}
	*ret_operand = operand;
	return PD_OPTIONS_PARSED;
}

bool pd_options_begin(const struct pd_options *options, int argc, char **argv, void *target, int *ret_operand,
		      int *ret_status)
{
	enum pd_options_outcome outcome = pd_options_parse(options, argc, argv, target, ret_operand);

	*ret_status = outcome == PD_OPTIONS_WRONG ? PD_EXIT_USAGE : PD_EXIT_OK;
	return outcome == PD_OPTIONS_PARSED;
}

bool pd_options_take(const struct pd_options *options, int argc, char **argv, void *target, int *ret_status)
{
	int operand = argc;

	if (!pd_options_begin(options, argc, argv, target, &operand, ret_status))
		return false;
	if (operand == argc)
		return true;
	*ret_status = pd_options_wrong(options, "unexpected word \"%s\"", argv[operand]);
	return false;
}
