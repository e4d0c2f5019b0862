#include "cli/export_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "backup/scan.h"
#include "base/crc32c.h"
#include "base/memory.h"

#define TENANT      PD_EXPORT_FILES "tenant_"
#define ENCODED_MAX 180u
#define DAY_SIZE    10u
#define SEGMENT     "/segment_"
#define NUMBER_MAX  999999999u

void pd_export_plan_done(struct pd_export_plan *plan)
{
	for (size_t i = 0; i < plan->name_count; i++)
		pd_free(plan->names[i].text);
	pd_free(plan->names);
	pd_free(plan->files);
	*plan = (struct pd_export_plan){ 0 };
}

int pd_export_plan_add_name(struct pd_export_plan *plan, uint64_t id, uint64_t tenant, struct pd_slice text)
{
	struct pd_export_name *grown = pd_grow(plan->names, plan->name_count, &plan->name_capacity,
					       sizeof *grown, 16);
	char *copy = pd_malloc(text.size + 1);

	if (grown != NULL)
		plan->names = grown;
	if (grown == NULL || copy == NULL) {
		pd_free(copy);
		return PD_NO_MEMORY;
	}
	if (text.size > 0)
		memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	plan->names[plan->name_count++] = (struct pd_export_name){
		.id = id, .tenant = tenant, .text = copy, .size = text.size
	};
	return 0;
}

struct pd_export_file *pd_export_plan_add_file(struct pd_export_plan *plan)
{
	struct pd_export_file *grown = pd_grow(plan->files, plan->file_count, &plan->file_capacity,
					       sizeof *grown, 16);

	if (grown == NULL)
		return NULL;
	plan->files = grown;
	plan->files[plan->file_count] = (struct pd_export_file){ 0 };
	return &plan->files[plan->file_count++];
}

/* ---- names ---- */

static bool is_plain(uint8_t byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
	       byte == '-' || byte == '_' || byte == '.';
}

static int encode(struct pd_slice name, struct pd_buffer *text)
{
	int result = 0;

	for (size_t i = 0; i < name.size && result == 0; i++)
		result = is_plain(name.data[i]) ? pd_buffer_append(text, name.data + i, 1)
						: pd_buffer_printf(text, "=%02X", name.data[i]);
	return result;
}

static int digit(uint8_t byte)
{
	return byte >= '0' && byte <= '9' ? byte - '0' : byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

/* In place of what is there. PD_CORRUPT, PD_NO_MEMORY. */
static int decode(struct pd_slice text, struct pd_buffer *name)
{
	int result = 0;

	pd_buffer_clear(name);
	for (size_t i = 0; i < text.size && result == 0; i++) {
		uint8_t byte = text.data[i];

		if (byte == '=') {
			int high = i + 2 < text.size ? digit(text.data[i + 1]) : -1,
			    low = i + 2 < text.size ? digit(text.data[i + 2]) : -1;

			if (high < 0 || low < 0)
				return PD_CORRUPT;
			byte = (uint8_t)(high << 4 | low);
			i += 2;
		} else if (!is_plain(byte)) {
			return PD_CORRUPT;
		}
		result = pd_buffer_append(name, &byte, 1);
	}
	return result;
}

void pd_export_plan_name(uint64_t from_lsn, char name[PD_EXPORT_NAME_SIZE])
{
	(void)snprintf(name, PD_EXPORT_NAME_SIZE, PD_EXPORT_PLANS "%020" PRIu64, from_lsn);
}

int pd_export_directory(struct pd_slice tenant, uint64_t id, char path[PD_EXPORT_PATH_SIZE])
{
	char digits[2 * PD_SHA256_SIZE + 1];
	uint8_t digest[PD_SHA256_SIZE];
	struct pd_buffer text;
	int result;

	if (tenant.size == 0) {
		(void)snprintf(path, PD_EXPORT_PATH_SIZE, TENANT "+%" PRIu64, id);
		return 0;
	}
	pd_buffer_init(&text, 3 * tenant.size + 64);
	result = encode(tenant, &text);
	if (result == 0 && text.size > ENCODED_MAX) {
		result = pd_crypto_sha256(tenant, digest);
		pd_scan_format_hex(digest, sizeof digest, digits);
		(void)snprintf(path, PD_EXPORT_PATH_SIZE, TENANT "+%s", digits);
	} else if (result == 0) {
		(void)snprintf(path, PD_EXPORT_PATH_SIZE, TENANT "%.*s", (int)text.size,
			       (const char *)text.data);
	}
	pd_buffer_done(&text);
	return result;
}

void pd_export_path(const char *directory, uint64_t time_us, uint32_t number, char path[PD_EXPORT_PATH_SIZE])
{
	time_t seconds = (time_t)(time_us / 1000000);
	struct tm day;

	if (gmtime_r(&seconds, &day) == NULL)
		day = (struct tm){ .tm_mday = 1 };
	(void)snprintf(path, PD_EXPORT_PATH_SIZE, "%.200s/%04d-%02d-%02d" SEGMENT "%06" PRIu32, directory,
		       (day.tm_year + 1900) % 10000, day.tm_mon + 1, day.tm_mday, number);
}

bool pd_export_path_parse(const char *path, uint32_t *ret_number, size_t *ret_directory, size_t *ret_day)
{
	const char *digits;
	uint64_t number = 0;
	size_t directory;

	if (strncmp(path, TENANT, sizeof TENANT - 1) != 0)
		return false;
	directory = sizeof TENANT - 1 + strcspn(path + sizeof TENANT - 1, "/");
	if (strlen(path) < directory + 1 + DAY_SIZE + sizeof SEGMENT - 1 + 6 ||
	    strncmp(path + directory + 1 + DAY_SIZE, SEGMENT, sizeof SEGMENT - 1) != 0)
		return false;
	digits = path + directory + 1 + DAY_SIZE + sizeof SEGMENT - 1;
	for (; *digits != '\0'; digits++) {
		if (*digits < '0' || *digits > '9' || number > NUMBER_MAX)
			return false;
		number = number * 10 + (uint64_t)(*digits - '0');
	}
	*ret_number = (uint32_t)number;
	*ret_directory = directory;
	*ret_day = directory + 1 + DAY_SIZE;
	return number > 0 && number <= NUMBER_MAX;
}

/* ---- as text ---- */

static int format_names(const struct pd_export_plan *plan, struct pd_buffer *text)
{
	int result = pd_buffer_printf(text, "names %zu\n", plan->name_count);

	for (size_t i = 0; i < plan->name_count && result == 0; i++) {
		const struct pd_export_name *name = &plan->names[i];

		result = pd_buffer_printf(text, "name %" PRIu64 " %" PRIu64 " ", name->id, name->tenant);
		if (result == 0)
			result = encode(pd_slice(name->text, name->size), text);
		if (result == 0)
			result = pd_buffer_printf(text, "\n");
	}
	return result;
}

static int format_files(const struct pd_export_plan *plan, struct pd_buffer *text)
{
	int result = pd_buffer_printf(text, "files %zu\n", plan->file_count);

	for (size_t i = 0; i < plan->file_count && result == 0; i++) {
		const struct pd_export_file *file = &plan->files[i];
		char digits[2 * PD_SHA256_SIZE + 1];

		pd_scan_format_hex(file->sha256, sizeof file->sha256, digits);
		result = pd_buffer_printf(
			text, "file %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s %s\n", file->first_lsn,
			file->last_lsn, file->lines, file->bytes, digits, file->path);
	}
	return result;
}

int pd_export_plan_format(const struct pd_export_plan *plan, struct pd_buffer *text)
{
	char cluster[2 * PD_CLUSTER_ID_SIZE + 1];
	size_t from = text->size;
	int result;

	pd_scan_format_hex(plan->log.cluster_id, sizeof plan->log.cluster_id, cluster);
	result = pd_buffer_printf(text,
				  "perdure-export %d\ncluster %s\nshard %" PRIu32 "\nfrom %" PRIu64
				  "\nto %" PRIu64 "\nafter %" PRIu64 "\ninternal %" PRIu64 "\n",
				  PD_EXPORT_FORMAT_VERSION, cluster, plan->log.shard, plan->from_lsn,
				  plan->to_lsn, plan->after_lsn, plan->internal);
	if (result == 0)
		result = format_names(plan, text);
	if (result == 0)
		result = format_files(plan, text);
	return result == 0 ? pd_buffer_printf(text, "crc %08x\n",
					      pd_crc32c(0, text->data + from, text->size - from))
			   : result;
}

static int parse_names(struct pd_scan *scan, struct pd_export_plan *plan)
{
	uint64_t count = pd_scan_number(scan, "names");
	struct pd_buffer name;
	int result = 0;

	pd_buffer_init(&name, PD_EXPORT_PLAN_MAX);
	for (uint64_t i = 0; i < count && result == 0 && !scan->bad; i++) {
		struct pd_scan line = { pd_scan_line(scan, "name"), false };
		uint64_t id = pd_scan_number_until(&line, ' '), tenant = pd_scan_number_until(&line, ' ');

		result = line.bad ? PD_CORRUPT : decode(line.rest, &name);
		if (result == 0)
			result = pd_export_plan_add_name(plan, id, tenant, pd_buffer_slice(&name));
	}
	pd_buffer_done(&name);
	return result;
}

static bool parse_file(struct pd_slice text, const struct pd_export_plan *plan, struct pd_export_file *file)
{
	struct pd_scan line = { text, false };
	struct pd_slice digits;
	size_t directory, day;
	uint32_t number;

	file->first_lsn = pd_scan_number_until(&line, ' ');
	file->last_lsn = pd_scan_number_until(&line, ' ');
	file->lines = pd_scan_number_until(&line, ' ');
	file->bytes = pd_scan_number_until(&line, ' ');
	digits = pd_scan_until(&line, ' ');
	if (line.bad || !pd_scan_hex(digits, file->sha256, sizeof file->sha256) ||
	    line.rest.size >= sizeof file->path - sizeof PD_EXPORT_CHECKSUM ||
	    memchr(line.rest.data, '\0', line.rest.size) != NULL)
		return false;
	memcpy(file->path, line.rest.data, line.rest.size);
	file->path[line.rest.size] = '\0';
	return pd_export_path_parse(file->path, &number, &directory, &day) &&
	       file->first_lsn >= plan->from_lsn && file->last_lsn >= file->first_lsn &&
	       file->last_lsn <= plan->to_lsn && file->lines > 0;
}

static int parse_files(struct pd_scan *scan, struct pd_export_plan *plan)
{
	uint64_t count = pd_scan_number(scan, "files");

	for (uint64_t i = 0; i < count && !scan->bad; i++) {
		struct pd_slice line = pd_scan_line(scan, "file");
		struct pd_export_file *file = scan->bad ? NULL : pd_export_plan_add_file(plan);

		if (!scan->bad && file == NULL)
			return PD_NO_MEMORY;
		if (!scan->bad && !parse_file(line, plan, file))
			pd_scan_fail(scan);
	}
	return 0;
}

int pd_export_plan_parse(struct pd_slice text, struct pd_export_plan *ret_plan)
{
	struct pd_scan scan = { text, false };
	uint64_t version, shard;
	int result = 0;

	*ret_plan = (struct pd_export_plan){ 0 };
	if (!pd_scan_take_crc(&scan.rest))
		return PD_CORRUPT;
	version = pd_scan_number(&scan, "perdure-export");
	if (!scan.bad && version > PD_EXPORT_FORMAT_VERSION)
		return PD_NEWER_FORMAT;
	if (!pd_scan_hex(pd_scan_line(&scan, "cluster"), ret_plan->log.cluster_id,
			 sizeof ret_plan->log.cluster_id))
		pd_scan_fail(&scan);
	shard = pd_scan_number(&scan, "shard");
	ret_plan->log.shard = (uint32_t)shard;
	ret_plan->from_lsn = pd_scan_number(&scan, "from");
	ret_plan->to_lsn = pd_scan_number(&scan, "to");
	ret_plan->after_lsn = pd_scan_number(&scan, "after");
	ret_plan->internal = pd_scan_number(&scan, "internal");
	if (version == 0 || shard > UINT32_MAX || ret_plan->from_lsn == 0 ||
	    ret_plan->to_lsn < ret_plan->from_lsn || ret_plan->after_lsn >= ret_plan->from_lsn)
		pd_scan_fail(&scan);
	result = parse_names(&scan, ret_plan);
	if (result == 0)
		result = parse_files(&scan, ret_plan);
	if (result == 0 && (scan.bad || scan.rest.size > 0))
		result = PD_CORRUPT;
	if (result != 0)
		pd_export_plan_done(ret_plan);
	return result;
}
