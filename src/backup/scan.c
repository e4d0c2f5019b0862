#include "backup/scan.h"

#include <string.h>

#include "base/crc32c.h"

#define CRC_LINE_SIZE (sizeof "crc 00000000\n" - 1)

void pd_scan_fail(struct pd_scan *scan)
{
	scan->bad = true;
	scan->rest = pd_slice(NULL, 0);
}

struct pd_slice pd_scan_until(struct pd_scan *scan, char end)
{
	const uint8_t *at = scan->rest.size == 0 ? NULL : memchr(scan->rest.data, end, scan->rest.size);
	struct pd_slice taken;

	if (at == NULL) {
		pd_scan_fail(scan);
		return scan->rest;
	}
	taken = pd_slice(scan->rest.data, (size_t)(at - scan->rest.data));
	scan->rest = pd_slice(at + 1, scan->rest.size - taken.size - 1);
	return taken;
}

static uint64_t to_number(struct pd_scan *scan, struct pd_slice text)
{
	int64_t number = 0;

	if (scan->bad || !pd_slice_to_int64(text, &number) || number < 0) {
		pd_scan_fail(scan);
		return 0;
	}
	return (uint64_t)number;
}

uint64_t pd_scan_number_until(struct pd_scan *scan, char end)
{
	return to_number(scan, pd_scan_until(scan, end));
}

struct pd_slice pd_scan_line(struct pd_scan *scan, const char *word)
{
	if (!pd_slice_equal(pd_scan_until(scan, ' '), pd_slice_string(word))) {
		pd_scan_fail(scan);
		return scan->rest;
	}
	return pd_scan_until(scan, '\n');
}

uint64_t pd_scan_number(struct pd_scan *scan, const char *word)
{
	return to_number(scan, pd_scan_line(scan, word));
}

bool pd_scan_is(const struct pd_scan *scan, const char *word)
{
	size_t size = strlen(word);

	return scan->rest.size > size && memcmp(scan->rest.data, word, size) == 0 &&
	       scan->rest.data[size] == ' ';
}

static int digit_of(uint8_t byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

bool pd_scan_hex(struct pd_slice text, uint8_t *bytes, size_t size)
{
	if (text.size != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++) {
		int high = digit_of(text.data[2 * i]), low = digit_of(text.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool is_plain(uint8_t byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       byte == '_' || byte == '-' || byte == '.' || byte == ':';
}

int pd_scan_format_word(struct pd_slice bytes, struct pd_buffer *text)
{
	int result = 0;

	for (size_t i = 0; i < bytes.size && result == 0; i++)
		result = is_plain(bytes.data[i]) ? pd_buffer_append(text, &bytes.data[i], 1)
						 : pd_buffer_printf(text, "%%%02X", (unsigned)bytes.data[i]);
	return result;
}

static int capital_of(uint8_t byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

bool pd_scan_word(struct pd_slice word, struct pd_buffer *bytes)
{
	for (size_t i = 0; i < word.size; i++) {
		uint8_t byte = word.data[i];

		if (byte == '%') {
			int high = word.size - i > 2 ? capital_of(word.data[i + 1]) : -1;
			int low = word.size - i > 2 ? capital_of(word.data[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			byte = (uint8_t)(high << 4 | low);
			i += 2;
			if (is_plain(byte))
				return false;
		} else if (!is_plain(byte)) {
			return false;
		}
		if (pd_buffer_append(bytes, &byte, 1) != 0)
			return false;
	}
	return true;
}

void pd_scan_format_hex(const uint8_t *bytes, size_t size, char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < size; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	text[2 * size] = '\0';
}

bool pd_scan_take_crc(struct pd_slice *text)
{
	struct pd_scan last;
	uint8_t crc[4] = { 0 };

	if (text->size <= CRC_LINE_SIZE)
		return false;
	text->size -= CRC_LINE_SIZE;
	last = (struct pd_scan){ pd_slice(text->data + text->size, CRC_LINE_SIZE), false };
	return pd_scan_hex(pd_scan_line(&last, "crc"), crc, sizeof crc) && !last.bad &&
	       ((uint32_t)crc[0] << 24 | (uint32_t)crc[1] << 16 | (uint32_t)crc[2] << 8 | crc[3]) ==
		       pd_crc32c(0, text->data, text->size);
}
