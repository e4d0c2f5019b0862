/* Is all of an export there, as it was written, and no LSN missing? */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "backup/scan.h"
#include "base/memory.h"
#include "cli/export.h"
#include "cli/export_plan.h"
#include "cli/gzip.h"

#define BUFFER_MAX ((size_t)2 * 1024 * 1024 * 1024)
#define LSN_FIELD  "\"lsn\": "

/* ---- a file ---- */

struct looking {
	int (*take)(void *context, struct pd_slice line);
	void *context;
	struct pd_sha256 *hash;
	struct pd_export_content *content;
	struct pd_buffer line; /* what has come of it, where it came in pieces */
};

static int take_line(struct looking *looking, struct pd_slice line)
{
	int result = 0;

	looking->content->lines++;
	if (looking->take == NULL)
		return 0;
	if (looking->line.size > 0) {
		result = pd_buffer_append_slice(&looking->line, line);
		line = pd_buffer_slice(&looking->line);
	}
	if (result == 0)
		result = looking->take(looking->context, line);
	pd_buffer_clear(&looking->line);
	return result;
}

static int take_bytes(void *context, struct pd_slice bytes)
{
	struct looking *looking = context;
	int result = pd_sha256_add(looking->hash, bytes);

	looking->content->bytes += bytes.size;
	while (result == 0 && bytes.size > 0) {
		const uint8_t *end = memchr(bytes.data, '\n', bytes.size);
		size_t size = end != NULL ? (size_t)(end - bytes.data) : bytes.size;

		if (end != NULL)
			result = take_line(looking, pd_slice(bytes.data, size));
		else if (looking->take != NULL)
			result = pd_buffer_append(&looking->line, bytes.data, size);
		bytes = pd_slice(bytes.data + size + (end != NULL), bytes.size - size - (end != NULL));
	}
	return result;
}

int pd_export_look(struct pd_slice file, int (*take)(void *context, struct pd_slice line), void *context,
		   struct pd_export_content *ret_content)
{
	struct looking looking = { .take = take, .context = context, .content = ret_content };
	int result = pd_sha256_new(&looking.hash);

	*ret_content = (struct pd_export_content){ 0 };
	if (result != 0)
		return result;
	pd_buffer_init(&looking.line, BUFFER_MAX);
	result = pd_gunzip(file, take_bytes, &looking);
	if (result == 0)
		result = pd_sha256_finish(looking.hash, ret_content->sha256);
	if (result == 0 && looking.line.size > 0)
		result = PD_CORRUPT;
	pd_sha256_free(looking.hash);
	pd_buffer_done(&looking.line);
	return result;
}

int pd_export_checksum(const char *path, struct pd_slice file, struct pd_buffer *text)
{
	char digits[2 * PD_SHA256_SIZE + 1];
	uint8_t digest[PD_SHA256_SIZE];
	const char *name = strrchr(path, '/');
	int result = pd_crypto_sha256(file, digest);

	pd_scan_format_hex(digest, sizeof digest, digits);
	return result == 0 ? pd_buffer_printf(text, "%s  %s" PD_EXPORT_DATA "\n", digits,
					      name != NULL ? name + 1 : path)
			   : result;
}

int pd_export_read(struct pd_object_store *store, const char *name, struct pd_buffer *bytes,
		   struct pd_error *err)
{
	pd_buffer_clear(bytes);
	return pd_object_get_bytes(store, name, NULL, bytes, err);
}

/* ---- all of them ---- */

struct checking {
	const struct pd_export_check *check;
	struct pd_export_verdict *verdict;
	struct pd_export_plan plan;
	const struct pd_export_file *file;
	uint64_t last_lsn; /* of the lines of this file so far */
	uint8_t *seen;     /* a bit for each LSN of the stretch */
	uint64_t end_lsn;  /* of the stretch before; 0: none yet */
	bool any;
};

__attribute__((format(printf, 2, 3))) static void tell(struct checking *checking, const char *format, ...)
{
	char text[700];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	checking->verdict->damaged++;
	checking->check->damage(checking->check->context, text);
}

/* The first field of that name is the record's own: what comes before it has no quotes in it. */
static bool read_lsn(struct pd_slice line, uint64_t *ret_lsn)
{
	const uint8_t *at = memmem(line.data, line.size, LSN_FIELD, sizeof LSN_FIELD - 1);
	const uint8_t *end = line.data + line.size;

	if (at == NULL || line.size == 0 || line.data[0] != '{' || line.data[line.size - 1] != '}')
		return false;
	*ret_lsn = 0;
	for (at += sizeof LSN_FIELD - 1; at < end && *at >= '0' && *at <= '9'; at++)
		*ret_lsn = *ret_lsn * 10 + (uint64_t)(*at - '0');
	return at < end && *at == ',';
}

static int check_line(void *context, struct pd_slice line)
{
	struct checking *checking = context;
	const struct pd_export_plan *plan = &checking->plan;
	uint64_t lsn;

	if (!read_lsn(line, &lsn) || lsn <= checking->last_lsn || lsn < checking->file->first_lsn ||
	    lsn > checking->file->last_lsn)
		return PD_CONFLICT;
	checking->last_lsn = lsn;
	checking->seen[(lsn - plan->from_lsn) / 8] |= (uint8_t)(1u << (lsn - plan->from_lsn) % 8);
	return 0;
}

/* 0: it was looked at. */
static int check_file(struct checking *checking, struct pd_error *err)
{
	const struct pd_export_file *file = checking->file;
	char name[PD_EXPORT_PATH_SIZE + 16];
	struct pd_export_content content;
	struct pd_buffer bytes, text, there;
	int result;

	pd_buffer_init(&bytes, BUFFER_MAX);
	pd_buffer_init(&text, 4096);
	pd_buffer_init(&there, 4096);
	(void)snprintf(name, sizeof name, "%s" PD_EXPORT_DATA, file->path);
	result = pd_export_read(checking->check->target, name, &bytes, err);
	if (result == 0) {
		checking->verdict->bytes += bytes.size;
		checking->last_lsn = 0;
		result = pd_export_look(pd_buffer_slice(&bytes), check_line, checking, &content);
		if (result == PD_CORRUPT || result == PD_CONFLICT ||
		    (result == 0 && (content.lines != file->lines || content.bytes != file->bytes ||
				     memcmp(content.sha256, file->sha256, sizeof file->sha256) != 0))) {
			tell(checking, "%s is not what was exported (LSN %" PRIu64 " to %" PRIu64 ")", name,
			     file->first_lsn, file->last_lsn);
			result = 0;
		}
		if (result == 0)
			result = pd_export_checksum(file->path, pd_buffer_slice(&bytes), &text);
		if (result != 0)
			(void)!pd_error_set(err, result, "out of memory for a file of an export");
	}
	if (result == 0) {
		(void)snprintf(name, sizeof name, "%s" PD_EXPORT_CHECKSUM, file->path);
		result = pd_export_read(checking->check->target, name, &there, err);
		if (result == PD_TOO_LARGE ||
		    (result == 0 && !pd_slice_equal(pd_buffer_slice(&there), pd_buffer_slice(&text)))) {
			tell(checking, "%s is not that of its file", name);
			result = 0;
		}
	}
	if (result == PD_NOT_FOUND) {
		tell(checking, "%s is missing (LSN %" PRIu64 " to %" PRIu64 ")", name, file->first_lsn,
		     file->last_lsn);
		result = 0;
	}
	checking->verdict->files++;
	checking->verdict->lines += file->lines;
	pd_buffer_done(&bytes);
	pd_buffer_done(&text);
	pd_buffer_done(&there);
	if (checking->check->step != NULL)
		checking->check->step(checking->check->context, checking->verdict->files);
	return result;
}

/* Each LSN has a line, or is one of those that are nobody's. */
static void check_count(struct checking *checking, uint64_t damaged_before)
{
	const struct pd_export_plan *plan = &checking->plan;
	uint64_t count = plan->to_lsn - plan->from_lsn + 1, seen = 0;

	for (uint64_t i = 0; i < count; i++)
		seen += checking->seen[i / 8] >> i % 8 & 1;
	if (seen + plan->internal != count && checking->verdict->damaged == damaged_before)
		tell(checking,
		     "of LSN %" PRIu64 " to %" PRIu64 " %" PRIu64 " have lines, and %" PRIu64
		     " are nobody's: others are missing",
		     plan->from_lsn, plan->to_lsn, seen, plan->internal);
}

static int check_plan(struct checking *checking, struct pd_error *err)
{
	const struct pd_export_plan *plan = &checking->plan;
	uint64_t before;
	int result = 0;

	if (plan->to_lsn - plan->from_lsn > UINT64_C(1) << 30) {
		tell(checking, "the plan of LSN %" PRIu64 " does not make sense", plan->from_lsn);
		return 0;
	}
	if (!checking->any && plan->after_lsn > 0)
		tell(checking, "LSN %" PRIu64 " and what is before it are missing", plan->after_lsn);
	else if (checking->any && plan->from_lsn <= checking->end_lsn)
		tell(checking, "LSN %" PRIu64 " to %" PRIu64 " are there twice", plan->from_lsn,
		     checking->end_lsn);
	else if (checking->any && plan->from_lsn != checking->end_lsn + 1)
		tell(checking, "LSN %" PRIu64 " to %" PRIu64 " are missing%s", checking->end_lsn + 1,
		     plan->from_lsn - 1,
		     plan->after_lsn == checking->end_lsn ? ": the archive never had them" : "");
	before = checking->verdict->damaged;
	checking->seen = pd_calloc(1, (size_t)((plan->to_lsn - plan->from_lsn) / 8 + 1));
	if (checking->seen == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the check of an export");
	for (size_t i = 0; i < plan->file_count && result == 0; i++) {
		checking->file = &plan->files[i];
		result = check_file(checking, err);
	}
	if (result == 0)
		check_count(checking, before);
	pd_free(checking->seen);
	if (!checking->any)
		checking->verdict->first_lsn = plan->from_lsn;
	checking->any = true;
	checking->end_lsn = plan->to_lsn;
	checking->verdict->last_lsn = plan->to_lsn;
	checking->verdict->stretches++;
	return result;
}

static int check_object(struct checking *checking, const char *name, struct pd_error *err)
{
	char own[PD_EXPORT_NAME_SIZE];
	struct pd_buffer text;
	int result;

	pd_buffer_init(&text, PD_EXPORT_PLAN_MAX);
	result = pd_export_read(checking->check->target, name, &text, err);
	if (result == 0) {
		result = pd_export_plan_parse(pd_buffer_slice(&text), &checking->plan);
		if (result == PD_NO_MEMORY)
			(void)!pd_error_set(err, result, "out of memory for the plan of an export");
	}
	pd_buffer_done(&text);
	if (result == PD_CORRUPT || result == PD_NEWER_FORMAT || result == PD_TOO_LARGE) {
		tell(checking, "%s is damaged, or of a newer Perdure", name);
		return 0;
	}
	if (result != 0)
		return result;
	pd_export_plan_name(checking->plan.from_lsn, own);
	if (strcmp(own, name) != 0)
		tell(checking, "%s is another stretch's plan", name);
	else
		result = check_plan(checking, err);
	pd_export_plan_done(&checking->plan);
	return result;
}

int pd_export_check(const struct pd_export_check *check, struct pd_export_verdict *ret_verdict,
		    struct pd_error *err)
{
	struct checking checking = { .check = check, .verdict = ret_verdict };
	char after[PD_OBJECT_NAME_MAX + 1] = "";
	bool more = true;
	int result = 0;

	*ret_verdict = (struct pd_export_verdict){ 0 };
	while (result == 0 && more) {
		struct pd_object_page page;

		result = pd_object_list(check->target, PD_EXPORT_PLANS, after, PD_OBJECT_PAGE_MAX, &page,
					err);
		if (result != 0)
			return result;
		for (size_t i = 0; i < page.count && result == 0; i++)
			result = check_object(&checking, page.entries[i].name, err);
		more = page.more;
		if (page.count > 0)
			(void)snprintf(after, sizeof after, "%s", page.entries[page.count - 1].name);
		pd_object_page_done(&page);
	}
	return result;
}
