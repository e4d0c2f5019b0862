/* A line that somebody types at the prompt: it is split or refused, and its words, quoted again, are the same words. */
#include <stdio.h>

#include "cli/words.h"
#include "input.h"

static void quote(struct pd_buffer *line, struct pd_slice word)
{
	PD_ASSERT(pd_buffer_printf(line, "\"") == 0);
	for (size_t i = 0; i < word.size; i++)
		PD_ASSERT(pd_buffer_printf(line, "\\x%02x", word.data[i]) == 0);
	PD_ASSERT(pd_buffer_printf(line, "\" ") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = copy_bytes(pd_slice(data, size));
	struct pd_words words, again;
	struct pd_error err = { 0 };
	struct pd_buffer line;

	pd_words_init(&words);
	pd_words_init(&again);
	pd_buffer_init(&line, 1 << 28);
	if (pd_words_split(&words, pd_slice(copy, size), &err) == 0) {
		(void)pd_words_are_secret(&words);
		for (size_t i = 0; i < words.count; i++)
			quote(&line, words.items[i]);
		PD_ASSERT(pd_words_split(&again, pd_buffer_slice(&line), &err) == 0);
		PD_ASSERT(words.count == again.count);
		for (size_t i = 0; i < words.count; i++)
			PD_ASSERT(pd_slice_equal(words.items[i], again.items[i]));
	} else {
		PD_ASSERT(err.code == PD_INVALID && err.text[0] != '\0');
	}
	pd_words_done(&words);
	pd_words_done(&again);
	pd_buffer_done(&line);
	free(copy);
	return 0;
}
