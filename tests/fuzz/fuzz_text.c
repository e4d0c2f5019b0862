/* Small texts of all kinds: bookmarks, names, numbers, UTF-8. What is understood is written as it was; what is written for people stays
 * on its line. The first byte chooses. */
#include <math.h>
#include <stdio.h>

#include "base/timestamp.h"
#include "base/utf8.h"
#include "engine/engine.h"
#include "input.h"

static void read_bookmark(struct pd_slice text)
{
	char again[PD_BOOKMARK_SIZE];
	uint64_t epoch, lsn;
	uint32_t shard;

	if (pd_bookmark_parse(text, &shard, &epoch, &lsn) != 0)
		return;
	pd_bookmark_format(shard, epoch, lsn, again);
	PD_ASSERT(pd_slice_equal(text, pd_slice_string(again)));
}

static void read_numbers(struct pd_slice text)
{
	char again[32];
	int64_t integer;
	double real;

	if (pd_slice_to_int64(text, &integer)) {
		(void)snprintf(again, sizeof again, "%lld", (long long)integer);
		PD_ASSERT(pd_slice_equal(text, pd_slice_string(again)));
	}
	if (pd_slice_to_double(text, &real))
		PD_ASSERT(!isnan(real));
}

static void read_name(struct pd_slice name)
{
	if (!pd_actor_name_is_good(name))
		return;
	PD_ASSERT(name.size > 0 && name.size <= PD_NAME_SIZE_MAX);
	PD_ASSERT(memchr(name.data, '/', name.size) == NULL && memchr(name.data, '{', name.size) == NULL &&
		  memchr(name.data, '}', name.size) == NULL);
}

/* One line of whole characters, none of which a terminal obeys. */
static void check_line(struct pd_slice line)
{
	for (size_t at = 0; at < line.size;) {
		size_t size = pd_utf8_character(line.data + at, line.size - at);

		PD_ASSERT(size > 0 && size <= line.size - at);
		PD_ASSERT(!pd_utf8_is_control(line.data + at, size));
		at += size;
	}
}

static void write_text(struct pd_slice bytes)
{
	struct pd_buffer line;

	pd_buffer_init(&line, 1 << 24);
	PD_ASSERT(pd_append_line(&line, bytes) == 0);
	check_line(pd_buffer_slice(&line));
	pd_buffer_clear(&line);
	PD_ASSERT(pd_append_json_string(&line, bytes) == 0);
	check_line(pd_buffer_slice(&line));
	PD_ASSERT(line.size >= 2 && line.data[0] == '"' && line.data[line.size - 1] == '"');
	pd_buffer_done(&line);
}

static void write_time(struct input *input)
{
	char text[PD_TIMESTAMP_SIZE];
	unsigned digits = take_byte(input) % 7;

	pd_timestamp_format(take_number(input, 8), digits, text);
	PD_ASSERT(strnlen(text, sizeof text) < sizeof text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	uint8_t kind = take_byte(&input);
	uint8_t *copy = copy_bytes(pd_slice(input.data, input.size));
	struct pd_slice text = pd_slice(copy, input.size);

	switch (kind % 5) {
	case 0:
		read_bookmark(text);
		break;
	case 1:
		read_numbers(text);
		break;
	case 2:
		read_name(text);
		break;
	case 3:
		write_text(text);
		break;
	default:
		write_time(&input);
	}
	free(copy);
	return 0;
}
