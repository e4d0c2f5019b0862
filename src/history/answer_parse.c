/* Questions as words. */
#include <string.h>

#include "history/answer.h"

#define WORDS_MAX 16u
#define BYTES_MAX ((size_t)256 * 1024)

static const struct {
	const char *name;
	const char *syntax;
	size_t operands; /* words that must come behind the verb */
} verbs[] = {
	[PD_HISTORY_HISTORY] = { "history",
				 "HISTORY name [FROM moment] [TO moment] [COUNT n] [CURSOR cursor]", 1 },
	[PD_HISTORY_REPLAY] = { "replay", "REPLAY name [FROM moment] [TO moment] [COUNT n] [CURSOR cursor]",
				1 },
	[PD_HISTORY_BLAME] = { "blame", "BLAME name key [TO moment] [COUNT n] [CURSOR cursor]", 2 },
	[PD_HISTORY_DIFF] = { "diff", "DIFF name FROM moment [TO moment] [COUNT n] [CURSOR cursor]", 1 },
	[PD_HISTORY_GET] = { "get", "GET name key [AT moment]", 2 },
	[PD_HISTORY_MOMENT] = { "moment", "MOMENT moment", 1 },
};

static int syntax_error(enum pd_history_verb verb, struct pd_error *err)
{
	return pd_error_set(err, PD_INVALID, "syntax error: PD.ACTOR %s", verbs[verb].syntax);
}

/* The words, copied: *ret_copies are slices of question->bytes. */
static int copy_words(struct pd_history_question *question, const struct pd_slice *words, size_t count,
		      struct pd_slice *ret_copies, struct pd_error *err)
{
	size_t size = 0, at = 0;

	for (size_t i = 0; i < count; i++)
		size += words[i].size;
	if (size > BYTES_MAX)
		return pd_error_set(err, PD_INVALID, "the words of a question have %zu bytes at most",
				    BYTES_MAX);
	if (pd_buffer_reserve(&question->bytes, size) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a question");
	for (size_t i = 0; i < count; i++) {
		if (words[i].size > 0)
			memcpy(question->bytes.data + at, words[i].data, words[i].size);
		ret_copies[i] = pd_slice(question->bytes.data + at, words[i].size);
		at += words[i].size;
	}
	question->bytes.size = size;
	return 0;
}

/* One option with its value. */
static int take_option(struct pd_history_question *question, struct pd_slice name, struct pd_slice value,
		       struct pd_error *err)
{
	bool is_get = question->verb == PD_HISTORY_GET;
	int64_t number;

	if (pd_slice_equal_nocase(name, "from") && !is_get && question->verb != PD_HISTORY_BLAME)
		return pd_moment_parse(value, &question->from, err);
	if (pd_slice_equal_nocase(name, is_get ? "at" : "to"))
		return pd_moment_parse(value, &question->to, err);
	if (pd_slice_equal_nocase(name, "count") && !is_get) {
		if (!pd_slice_to_int64(value, &number) || number < 1 || number > PD_HISTORY_COUNT_MAX)
			return pd_error_set(err, PD_INVALID, "COUNT is a number from 1 to %u",
					    PD_HISTORY_COUNT_MAX);
		question->count = (uint64_t)number;
		return 0;
	}
	if (pd_slice_equal_nocase(name, "cursor") && !is_get) {
		if (!pd_slice_equal(value, pd_slice_string("0")))
			question->cursor = value;
		return 0;
	}
	return syntax_error(question->verb, err);
}

/* It is no actor's, so it is none of a snapshot. */
static int parse_moment(struct pd_history_question *question, const struct pd_slice *words, size_t count,
			struct pd_error *err)
{
	int result;

	if (count != 2)
		return syntax_error(question->verb, err);
	result = pd_moment_parse(words[1], &question->to, err);
	if (result == 0 && question->to.kind == PD_MOMENT_SNAPSHOT)
		return pd_error_set(err, PD_INVALID,
				    "a snapshot is of one actor: PD.ACTOR SNAPSHOTS name tells its moment");
	return result;
}

static int parse(struct pd_history_question *question, const struct pd_slice *words, size_t count,
		 struct pd_error *err)
{
	size_t at = 1 + verbs[question->verb].operands;
	bool has_from = false;
	int result = 0;

	if (count < at || (count - at) % 2 != 0)
		return syntax_error(question->verb, err);
	if (question->verb == PD_HISTORY_MOMENT)
		return parse_moment(question, words, count, err);
	question->actor = words[1];
	if (question->actor.size == 0)
		return pd_error_set(err, PD_INVALID, "an actor's name is not empty");
	if (at == 3)
		question->key = words[2];
	for (; result == 0 && at < count; at += 2) {
		has_from = has_from || pd_slice_equal_nocase(words[at], "from");
		result = take_option(question, words[at], words[at + 1], err);
	}
	if (result == 0 && question->verb == PD_HISTORY_DIFF && !has_from)
		return syntax_error(question->verb, err);
	if (result == 0 && !has_from)
		question->from = (struct pd_moment_name){ .kind = PD_MOMENT_LSN, .lsn = 0 };
	return result;
}

int pd_history_question_parse(const struct pd_slice *words, size_t count,
			      struct pd_history_question *ret_question, struct pd_error *err)
{
	struct pd_slice copies[WORDS_MAX];
	int result;

	*ret_question = (struct pd_history_question){ .to = { .kind = PD_MOMENT_NOW },
						      .count = PD_HISTORY_COUNT_DEFAULT };
	pd_buffer_init(&ret_question->bytes, BYTES_MAX);
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		if (count == 0 || !pd_slice_equal_nocase(words[0], verbs[i].name))
			continue;
		ret_question->verb = (enum pd_history_verb)i;
		if (count > WORDS_MAX)
			return syntax_error(ret_question->verb, err);
		result = copy_words(ret_question, words, count, copies, err);
		return result == 0 ? parse(ret_question, copies, count, err) : result;
	}
	return pd_error_set(err, PD_INVALID, "a question is HISTORY, REPLAY, BLAME, DIFF, GET or MOMENT");
}

void pd_history_question_done(struct pd_history_question *question)
{
	pd_buffer_done(&question->bytes);
}
