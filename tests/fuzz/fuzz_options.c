/* A command line: each line of the input is a word. What is parsed is in the range that the table says; everything else is said on
 * standard error, which goes nowhere here. */
#include <stdio.h>

#include "cli/options.h"
#include "input.h"

#define WORDS_MAX 32

struct target {
	bool on, json;
	const char *text, *setting;
	uint64_t number, size, duration_ms, interval_ms;
};

static const struct pd_option table[] = {
	{ "on", NULL, PD_OPTION_SWITCH, offsetof(struct target, on), 0, 0, "A switch." },
	{ "text", "WORDS", PD_OPTION_TEXT, offsetof(struct target, text), 0, 0, "A text." },
	{ "number", "N", PD_OPTION_NUMBER, offsetof(struct target, number), 1, 65535, "A number." },
	{ "size", "BYTES", PD_OPTION_SIZE, offsetof(struct target, size), 4096, 1 << 30, "A size." },
	{ "time", "MS", PD_OPTION_DURATION_MS, offsetof(struct target, duration_ms), 1, 60000, "A time." },
	{ "i", "S", PD_OPTION_INTERVAL_MS, offsetof(struct target, interval_ms), 0, 3600000, "An interval." },
	{ "o", "FORMAT", PD_OPTION_FORMAT, offsetof(struct target, json), 0, 0, "A format." },
	{ "setting", "VALUE", PD_OPTION_SETTING, offsetof(struct target, setting), 0, 0, "A setting." },
};

static bool within(uint64_t value, const struct pd_option *option)
{
	return value == 0 || (value >= option->least && value <= option->most);
}

static void parse(int argc, char **argv)
{
	static const struct pd_options options = { .command = "fuzz",
						   .synopsis = "fuzz [options] [WORD...]",
						   .about = "Nothing.",
						   .table = table,
						   .count = sizeof table / sizeof table[0],
						   .operands = "[WORD...]" };
	struct target target = { 0 };
	int operand = -1;

	if (pd_options_parse(&options, argc, argv, &target, &operand) != PD_OPTIONS_PARSED)
		return;
	PD_ASSERT(operand >= 1 && operand <= argc);
	PD_ASSERT(within(target.number, &table[2]) && within(target.size, &table[3]));
	PD_ASSERT(within(target.duration_ms, &table[4]) && within(target.interval_ms, &table[5]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FILE *nowhere = fopen("/dev/null", "w"), *output = stdout, *errors = stderr;
	char *text = malloc(size + 1), command[] = "fuzz", *words[WORDS_MAX + 2] = { command };
	int count = 1;

	PD_ASSERT(nowhere != NULL && text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	for (char *at = text; at != NULL && count <= WORDS_MAX; count++) {
		words[count] = at;
		at = strchr(at, '\n');
		if (at != NULL)
			*at++ = '\0';
	}
	stdout = stderr = nowhere;
	parse(count, words);
	stdout = output;
	stderr = errors;
	(void)fclose(nowhere);
	free(text);
	return 0;
}
