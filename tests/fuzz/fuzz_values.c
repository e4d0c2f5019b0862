/* Values as people and programs write them: moments, questions about the past, sizes, times, settings, Base64, names of
 * objects. What is understood is in range and written again as something that means the same; what is not has words. The first byte
 * chooses. */
#include "base/memory.h"
#include "config/setting.h"
#include "config/value.h"
#include "crypto/base64.h"
#include "engine/engine.h"
#include "history/answer.h"
#include "input.h"
#include "log/level.h"
#include "provider/object_name.h"
#include "provider/object_store.h"

#define WORDS_MAX 12u

static void read_moment(struct pd_slice text)
{
	struct pd_moment_name moment;
	struct pd_error err = { 0 };
	uint64_t epoch, lsn;
	uint32_t shard;

	if (pd_moment_parse(text, &moment, &err) != 0) {
		PD_ASSERT(err.text[0] != '\0');
		return;
	}
	PD_ASSERT(moment.kind <= PD_MOMENT_BOOKMARK);
	if (moment.kind == PD_MOMENT_BOOKMARK)
		PD_ASSERT(pd_bookmark_parse(text, &shard, &epoch, &lsn) == 0 && epoch == moment.epoch &&
			  lsn == moment.lsn);
}

static void read_question(struct input *input)
{
	static const char *const verbs[] = { "HISTORY", "BLAME", "DIFF", "GET", "REPLAY" };
	static const char *const options[] = { "FROM", "TO", "AT", "COUNT", "CURSOR" };
	struct pd_slice words[WORDS_MAX];
	struct pd_history_question question;
	struct pd_error err = { 0 };
	size_t count = take_byte(input) % (WORDS_MAX + 1);

	for (size_t i = 0; i < count; i++) {
		uint8_t pick = take_byte(input);

		words[i] = i == 0 && pick != 255 ? pd_slice_string(verbs[pick % 5])
			   : i > 0 && pick < 64  ? pd_slice_string(options[pick % 5])
						 : take_bytes(input, pick % 48);
	}
	if (pd_history_question_parse(words, count, &question, &err) == 0)
		PD_ASSERT(question.count > 0 && question.count <= PD_HISTORY_COUNT_MAX);
	else
		PD_ASSERT(err.text[0] != '\0');
	pd_history_question_done(&question);
}

static void read_amounts(struct pd_slice text)
{
	char again[PD_VALUE_SIZE];
	uint64_t number, same;
	bool on;

	if (pd_parse_size(text, &number)) {
		pd_format_size(number, again);
		PD_ASSERT(pd_parse_size(pd_slice_string(again), &same) && same == number);
	}
	if (pd_parse_duration_ms(text, &number)) {
		pd_format_duration_ms(number, again);
		PD_ASSERT(pd_parse_duration_ms(pd_slice_string(again), &same) && same == number);
	}
	if (pd_parse_interval_ms(text, &number))
		PD_ASSERT(number > 0 && number <= UINT64_C(24) * 3600 * 1000);
	(void)pd_parse_switch(text, &on);
}

static void read_setting(struct input *input)
{
	const struct pd_setting *setting = pd_setting(
		(enum pd_setting_id)(take_byte(input) % PD_SETTING_COUNT));
	uint8_t *copy = copy_bytes(pd_slice(input->data, input->size));
	struct pd_setting_value value = { 0 };
	char text[PD_SETTING_TEXT_MAX + 1];
	struct pd_error err = { 0 };

	if (pd_setting_parse(setting, "fuzz", pd_slice(copy, input->size), &value, &err) == 0) {
		pd_setting_format(setting, &value, false, text);
		PD_ASSERT(strlen(text) <= PD_SETTING_TEXT_MAX);
		pd_free(value.text);
	} else {
		PD_ASSERT(err.text[0] != '\0');
	}
	free(copy);
}

/* RFC 4648, the other way round. */
static void read_base64(struct pd_slice text)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t bytes[256];
	size_t size;

	if (pd_crypto_base64_decode(text, bytes, sizeof bytes, &size) != 0)
		return;
	PD_ASSERT(size <= sizeof bytes && text.size == (size + 2) / 3 * 4);
	/* The bits that the last letter has too many may be any. */
	for (size_t i = 0; i < text.size; i++) {
		size_t bit = i * 6, byte = bit / 8, left = byte < size ? size * 8 - bit : 0;
		unsigned unused = left < 6 ? 6 - (unsigned)left : 0, pair = 0;
		const char *letter = strchr(letters, text.data[i]);

		if (left > 0)
			pair = (unsigned)bytes[byte] << 8 | (byte + 1 < size ? bytes[byte + 1] : 0);
		PD_ASSERT(left > 0 ? letter != NULL && (unsigned)(letter - letters) >> unused ==
							       (pair >> (10 - bit % 8) & 63) >> unused
				   : text.data[i] == '=');
	}
}

static void read_names(struct pd_slice text)
{
	struct pd_error err = { 0 };
	enum pd_level level;
	char *name = malloc(text.size + 1);

	PD_ASSERT(name != NULL);
	if (text.size > 0)
		memcpy(name, text.data, text.size);
	name[text.size] = '\0';
	if (pd_object_name_check(name, &err) == 0) {
		PD_ASSERT(name[0] != '/' && name[0] != '.' && strstr(name, "/.") == NULL &&
			  strstr(name, "//") == NULL);
		PD_ASSERT(strlen(name) <= PD_OBJECT_NAME_MAX && pd_object_prefix_check(name, &err) == 0);
	} else {
		PD_ASSERT(err.text[0] != '\0');
	}
	free(name);
	if (pd_level_parse(text, &level))
		PD_ASSERT(pd_slice_equal_nocase(text, pd_level_name(level)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	uint8_t kind = take_byte(&input), *copy = copy_bytes(pd_slice(input.data, input.size));
	struct pd_slice text = pd_slice(copy, input.size);

	switch (kind % 6) {
	case 0:
		read_moment(text);
		break;
	case 1:
		read_question(&input);
		break;
	case 2:
		read_amounts(text);
		break;
	case 3:
		read_setting(&input);
		break;
	case 4:
		read_base64(text);
		break;
	default:
		read_names(text);
	}
	free(copy);
	return 0;
}
