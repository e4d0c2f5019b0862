#include "cli/export.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/catalog.h"
#include "archive/fetch.h"
#include "base/memory.h"
#include "cli/export_plan.h"
#include "cli/gzip.h"
#include "cli/log_private.h"
#include "log/look.h"

#define FILE_MAX   ((size_t)64 * 1024 * 1024) /* of lines; what comes next begins another file */
#define BUFFER_MAX ((size_t)2 * 1024 * 1024 * 1024)

/* Where a tenant's files go, and how far that is. */
struct place {
	char directory[PD_EXPORT_PATH_SIZE], day[PD_EXPORT_PATH_SIZE]; /* the day with the directory */
	uint32_t number;                                               /* of its last file on that day */
};

/* A file of the stretch that is under way. */
struct part {
	struct pd_buffer lines, file;
	uint64_t tenant, time_us, first_lsn, last_lsn, count;
	bool closed;
};

struct exporting {
	const struct pd_export *order;
	struct pd_exported *done;
	struct pd_archive_catalog catalog;
	struct pd_cli_log_names names;
	struct place *places;
	size_t place_count, place_capacity;
	uint64_t last_lsn; /* all up to it is exported, or is no more to be had; 0: nothing yet */
	/* Of the stretch: */
	struct pd_export_plan plan;
	struct part *parts;
	size_t part_count, part_capacity;
	uint64_t next_lsn;
	FILE *line;             /* what is written to it comes into */
	struct pd_buffer *sink; /* this; NULL: out of memory */
	bool out_of_memory;
};

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory for an export");
}

/* ---- places ---- */

static struct place *place_of(struct exporting *exporting, const char *directory)
{
	struct place *grown;

	for (size_t i = 0; i < exporting->place_count; i++)
		if (strcmp(exporting->places[i].directory, directory) == 0)
			return &exporting->places[i];
	grown = pd_grow(exporting->places, exporting->place_count, &exporting->place_capacity, sizeof *grown,
			8);
	if (grown == NULL)
		return NULL;
	exporting->places = grown;
	grown = &exporting->places[exporting->place_count++];
	*grown = (struct place){ 0 };
	(void)snprintf(grown->directory, sizeof grown->directory, "%s", directory);
	return grown;
}

/* The files that are there already. Days only go forward: the log's times do. */
static int note_file(struct exporting *exporting, const struct pd_export_file *file)
{
	char directory[PD_EXPORT_PATH_SIZE];
	struct place *place;
	size_t size, day;
	uint32_t number;

	if (!pd_export_path_parse(file->path, &number, &size, &day))
		return PD_CORRUPT;
	(void)snprintf(directory, sizeof directory, "%.*s", (int)size, file->path);
	place = place_of(exporting, directory);
	if (place == NULL)
		return PD_NO_MEMORY;
	(void)snprintf(place->day, sizeof place->day, "%.*s", (int)day, file->path);
	place->number = number;
	return 0;
}

/* The next file of the tenant on that day. */
static int next_path(struct exporting *exporting, const struct part *part, char path[PD_EXPORT_PATH_SIZE])
{
	const struct pd_cli_log_name *name = pd_cli_log_names_tenant(&exporting->names, part->tenant);
	char directory[PD_EXPORT_PATH_SIZE];
	struct place *place;
	size_t size, day;
	uint32_t number;
	int result = pd_export_directory(name == NULL ? pd_slice(NULL, 0) : pd_slice(name->text, name->size),
					 part->tenant, directory);

	if (result != 0)
		return result;
	place = place_of(exporting, directory);
	if (place == NULL)
		return PD_NO_MEMORY;
	pd_export_path(directory, part->time_us, place->number + 1, path);
	if (!pd_export_path_parse(path, &number, &size, &day))
		return PD_TOO_LARGE;
	if (strncmp(path, place->day, day) != 0 || place->day[day] != '\0') {
		pd_export_path(directory, part->time_us, 1, path);
		(void)snprintf(place->day, sizeof place->day, "%.*s", (int)day, path);
		place->number = 0;
	}
	place->number++;
	return 0;
}

/* ---- a stretch, in memory ---- */

static void stretch_begin(struct exporting *exporting, uint64_t from_lsn, uint64_t to_lsn, uint64_t after_lsn)
{
	pd_export_plan_done(&exporting->plan);
	exporting->plan = (struct pd_export_plan){
		.log = exporting->order->log, .from_lsn = from_lsn, .to_lsn = to_lsn, .after_lsn = after_lsn
	};
	exporting->next_lsn = from_lsn;
	for (size_t i = 0; i < exporting->part_count; i++) {
		pd_buffer_done(&exporting->parts[i].lines);
		pd_buffer_done(&exporting->parts[i].file);
	}
	exporting->part_count = 0;
}

static void hear_name(void *context, uint64_t id, uint64_t tenant, struct pd_slice text)
{
	struct exporting *exporting = context;

	/* What a segment begins with may be exported already. */
	if (exporting->next_lsn > 0 && pd_export_plan_add_name(&exporting->plan, id, tenant, text) != 0)
		exporting->out_of_memory = true;
}

/* The last one of the tenant, or a new one where the day is another, or it is full. */
static struct part *part_of(struct exporting *exporting, uint64_t tenant, uint64_t time_us)
{
	struct part *grown;

	for (size_t i = exporting->part_count; i-- > 0;) {
		struct part *part = &exporting->parts[i];

		if (part->tenant != tenant || part->closed)
			continue;
		if (part->time_us / UINT64_C(86400000000) == time_us / UINT64_C(86400000000) &&
		    part->lines.size < FILE_MAX)
			return part;
		part->closed = true;
		break;
	}
	grown = pd_grow(exporting->parts, exporting->part_count, &exporting->part_capacity, sizeof *grown, 8);
	if (grown == NULL)
		return NULL;
	exporting->parts = grown;
	grown = &exporting->parts[exporting->part_count++];
	*grown = (struct part){ .tenant = tenant, .time_us = time_us };
	pd_buffer_init(&grown->lines, BUFFER_MAX);
	pd_buffer_init(&grown->file, BUFFER_MAX);
	return grown;
}

/* An actor's tenant is known by its name also where the record does not say it. */
static uint64_t tenant_of(const struct exporting *exporting, const struct pd_effect *effect)
{
	const struct pd_cli_log_name *name = pd_cli_log_names_actor(&exporting->names, effect->actor);

	return name != NULL ? name->tenant : effect->tenant;
}

static bool is_somebodys(const struct pd_effect *effect)
{
	return effect->kind != PD_EFFECT_ACTOR && effect->actor != 0;
}

static ssize_t take_text(void *context, const char *text, size_t size)
{
	struct exporting *exporting = context;

	if (exporting->sink != NULL && pd_buffer_append(exporting->sink, text, size) != 0)
		exporting->sink = NULL;
	return (ssize_t)size;
}

/* What the engine notes for itself goes with the first tenant of the record. */
static void write_line(struct exporting *exporting, const struct pd_record *record, uint64_t tenant,
		       uint64_t first_tenant)
{
	struct pd_output output = { .file = exporting->line };
	uint64_t actor = record->head.tenant == tenant ? record->head.actor : 0;
	struct pd_effect_walk walk;
	struct pd_effect effect;

	pd_effect_walk_init(&walk, record);
	while (actor == 0 && pd_effect_next(&walk, &effect) == 0)
		if (is_somebodys(&effect) && tenant_of(exporting, &effect) == tenant)
			actor = effect.actor;
	pd_output_open(&output, NULL, '{');
	pd_cli_log_record_fields(&exporting->names, &output, record, tenant, actor);
	pd_output_open(&output, "effects", '[');
	pd_effect_walk_init(&walk, record);
	while (pd_effect_next(&walk, &effect) == 0) {
		if (effect.kind == PD_EFFECT_ACTOR ||
		    (is_somebodys(&effect) ? tenant_of(exporting, &effect) != tenant
					   : tenant != first_tenant))
			continue;
		pd_cli_log_effect_fields(&exporting->names, &output, &effect, true);
	}
	pd_output_close(&output, ']');
	pd_output_close(&output, '}');
	pd_output_end(&output);
}

static int add_line(struct exporting *exporting, const struct pd_record *record, uint64_t tenant,
		    uint64_t first_tenant, struct pd_error *err)
{
	struct part *part = part_of(exporting, tenant, record->head.time_us);

	if (part == NULL)
		return no_memory(err);
	exporting->sink = &part->lines;
	write_line(exporting, record, tenant, first_tenant);
	if (fflush(exporting->line) != 0 || exporting->sink == NULL)
		return no_memory(err);
	if (part->count++ == 0)
		part->first_lsn = record->lsn;
	part->last_lsn = record->lsn;
	return 0;
}

/* Each tenant once, in the order in which the record names them. */
static int add_record(struct exporting *exporting, const struct pd_record *record, struct pd_error *err)
{
	struct pd_effect_walk walk, again;
	struct pd_effect effect, other;
	uint64_t first_tenant = 0;
	bool any = false;
	int result = 0;

	pd_effect_walk_init(&walk, record);
	for (size_t n = 0; result == 0 && pd_effect_next(&walk, &effect) == 0; n++) {
		uint64_t tenant = tenant_of(exporting, &effect);
		bool seen = !is_somebodys(&effect) || (any && tenant == first_tenant);

		pd_effect_walk_init(&again, record);
		for (size_t m = 0; !seen && tenant != first_tenant && any && m < n; m++)
			seen = pd_effect_next(&again, &other) == 0 && is_somebodys(&other) &&
			       tenant_of(exporting, &other) == tenant;
		if (seen)
			continue;
		if (!any)
			first_tenant = tenant;
		any = true;
		result = add_line(exporting, record, tenant, first_tenant, err);
	}
	if (!any && result == 0 && record->head.tenant != 0 && record->head.kind == PD_RECORD_TRANSACTION) {
		any = true;
		result = add_line(exporting, record, record->head.tenant, record->head.tenant, err);
	}
	exporting->plan.internal += !any;
	return result;
}

static int take_record(struct exporting *exporting, uint32_t segment, const struct pd_record *record,
		       struct pd_error *err)
{
	const struct pd_log_sight sight = { .kind = PD_SIGHT_RECORD, .segment = segment, .record = *record };
	uint64_t next = exporting->next_lsn;
	bool wanted = record->lsn >= next && record->lsn <= exporting->plan.to_lsn;
	int result = 0;

	if (record->lsn > exporting->plan.to_lsn)
		return 0;
	exporting->next_lsn = wanted ? next : 0;
	pd_cli_log_names_learn(&exporting->names, &sight);
	exporting->next_lsn = next;
	if (exporting->names.out_of_memory || exporting->out_of_memory)
		return no_memory(err);
	if (!wanted)
		return 0;
	if (record->lsn != next)
		return pd_error_set(
			err, PD_CORRUPT,
			"LSN %" PRIu64 " to %" PRIu64 " cannot be read in what the archive %s has", next,
			record->lsn - 1, pd_object_store_address(exporting->order->archive));
	result = add_record(exporting, record, err);
	exporting->next_lsn = next + 1;
	return result;
}

static int read_segment(struct exporting *exporting, struct pd_log_look *look, size_t number,
			struct pd_error *err)
{
	struct pd_log_look_segment segment;
	struct pd_log_look_wish wish = { .to_lsn = exporting->plan.to_lsn, .actor = PD_LOOK_ALL_ACTORS };
	struct pd_log_look_finds finds;
	int result;

	pd_log_look_segment(look, number, &segment);
	wish.from_lsn = segment.first_lsn;
	if (segment.first_lsn > exporting->plan.to_lsn)
		return 0;
	pd_log_look_finds_init(&finds);
	result = pd_log_look_read(look, number, &wish, &finds, err);
	for (size_t n = 0; n < finds.count && result == 0; n++) {
		struct pd_log_damage damage;
		struct pd_record record;

		result = pd_log_look_get(&finds, n, &record, &damage, err);
		/* What is missing is told by the LSNs: at the front it may be of a record that began earlier. */
		if (result == PD_CORRUPT)
			result = 0;
		else if (result == 0)
			result = take_record(exporting, segment.number, &record, err);
		if (result == 0 && exporting->order->go_on != NULL &&
		    !exporting->order->go_on(exporting->order->context, 0, 0))
			result = pd_error_set(err, PD_CANCELLED, "cancelled");
	}
	pd_log_look_finds_done(&finds);
	return result;
}

static int read_log(struct exporting *exporting, const char *directory, struct pd_error *err)
{
	struct pd_log_options options = { .os = exporting->order->os,
					  .directory = directory,
					  .shard = exporting->order->log.shard };
	struct pd_log_look *look = NULL;
	int result;

	memcpy(options.cluster_id, exporting->order->log.cluster_id, sizeof options.cluster_id);
	result = pd_log_look_new(&options, &look, err);
	for (size_t n = 0; result == 0 && n < pd_log_look_count(look); n++)
		result = read_segment(exporting, look, n, err);
	pd_log_look_free(look);
	if (result == 0 && exporting->next_lsn <= exporting->plan.to_lsn)
		result = pd_error_set(err, PD_CORRUPT,
				      "LSN %" PRIu64 " to %" PRIu64
				      " cannot be read in what the archive %s has",
				      exporting->next_lsn, exporting->plan.to_lsn,
				      pd_object_store_address(exporting->order->archive));
	return result;
}

static int close_part(struct exporting *exporting, struct part *part)
{
	struct pd_export_file *file = pd_export_plan_add_file(&exporting->plan);
	int result = file == NULL ? PD_NO_MEMORY : next_path(exporting, part, file->path);

	if (result != 0)
		return result;
	file->first_lsn = part->first_lsn;
	file->last_lsn = part->last_lsn;
	file->lines = part->count;
	file->bytes = part->lines.size;
	result = pd_crypto_sha256(pd_buffer_slice(&part->lines), file->sha256);
	if (result == 0)
		result = pd_gzip(pd_buffer_slice(&part->lines), &part->file);
	pd_buffer_done(&part->lines);
	pd_buffer_init(&part->lines, BUFFER_MAX);
	return result;
}

/* The records of the stretch, as files in memory and their plan. */
static int make_stretch(struct exporting *exporting, const struct pd_archive_item *item, uint64_t from_lsn,
			uint64_t to_lsn, uint64_t after_lsn, struct pd_error *err)
{
	const struct pd_export *order = exporting->order;
	struct pd_archive_fetch fetch = { .os = order->os,
					  .store = order->archive,
					  .log = order->log,
					  .from = { .epoch = item->part.stretch.epoch, .lsn = from_lsn },
					  .to_lsn = to_lsn,
					  .go_on = order->go_on,
					  .context = order->context };
	struct pd_archive_fetched fetched;
	char *directory = pd_asprintf("%s/log", order->scratch);
	int result = directory == NULL ? no_memory(err) : 0;

	stretch_begin(exporting, from_lsn, to_lsn, after_lsn);
	fetch.directory = directory;
	if (result == 0)
		result = pd_os_remove_tree(order->os, order->scratch, err);
	if (result == 0 || result == PD_NOT_FOUND)
		result = pd_os_mkdir(order->os, order->scratch, err);
	if (result == 0)
		result = pd_archive_fetch(&fetch, &fetched, err);
	if (result == 0)
		result = read_log(exporting, directory, err);
	for (size_t i = 0; i < exporting->part_count && result == 0; i++)
		if (close_part(exporting, &exporting->parts[i]) != 0)
			result = no_memory(err);
	pd_free(directory);
	return result;
}

/* ---- what is there ---- */

static int put(struct exporting *exporting, const char *name, struct pd_slice bytes, struct pd_error *err)
{
	int result = pd_object_put_bytes(exporting->order->target, name, bytes, NULL, err);

	return result == PD_EXISTS ? 0 : result;
}

static int strange(struct exporting *exporting, const char *name, struct pd_error *err)
{
	return pd_error_set(
		err, PD_CORRUPT,
		"object '%.330s' of %.100s is not what was exported there: remove it, and it is written anew",
		name, pd_object_store_address(exporting->order->target));
}

/* Data, and then its checksum: of what is there, which may be of another try, and packed by another zlib. Both are read back. */
static int put_file(struct exporting *exporting, const struct pd_export_file *file, struct pd_slice bytes,
		    struct pd_error *err)
{
	char data[PD_EXPORT_PATH_SIZE + 16], checksum[PD_EXPORT_PATH_SIZE + 16];
	struct pd_export_content content;
	struct pd_buffer there, text;
	int result;

	(void)snprintf(data, sizeof data, "%s" PD_EXPORT_DATA, file->path);
	(void)snprintf(checksum, sizeof checksum, "%s" PD_EXPORT_CHECKSUM, file->path);
	pd_buffer_init(&there, BUFFER_MAX);
	pd_buffer_init(&text, 4096);
	result = put(exporting, data, bytes, err);
	if (result == 0)
		result = pd_export_read(exporting->order->target, data, &there, err);
	if (result == 0) {
		result = pd_export_look(pd_buffer_slice(&there), NULL, NULL, &content);
		if (result == PD_NO_MEMORY)
			result = no_memory(err);
		else if (result != 0 || memcmp(content.sha256, file->sha256, sizeof file->sha256) != 0)
			result = strange(exporting, data, err);
	}
	if (result == 0 && pd_export_checksum(file->path, pd_buffer_slice(&there), &text) != 0)
		result = no_memory(err);
	if (result == 0)
		result = put(exporting, checksum, pd_buffer_slice(&text), err);
	exporting->done->bytes += there.size;
	pd_buffer_clear(&there);
	if (result == 0)
		result = pd_export_read(exporting->order->target, checksum, &there, err);
	if (result == 0 && !pd_slice_equal(pd_buffer_slice(&there), pd_buffer_slice(&text)))
		result = strange(exporting, checksum, err);
	pd_buffer_done(&there);
	pd_buffer_done(&text);
	return result;
}

static int put_files(struct exporting *exporting, struct pd_error *err)
{
	const struct pd_export_plan *plan = &exporting->plan;
	int result = 0;

	for (size_t i = 0; i < plan->file_count && result == 0; i++) {
		result = put_file(exporting, &plan->files[i], pd_buffer_slice(&exporting->parts[i].file),
				  err);
		exporting->done->files += result == 0;
		exporting->done->lines += result == 0 ? plan->files[i].lines : 0;
	}
	if (result == 0) {
		exporting->done->stretches++;
		exporting->last_lsn = plan->to_lsn;
	}
	return result;
}

static int put_plan(struct exporting *exporting, struct pd_error *err)
{
	char name[PD_EXPORT_NAME_SIZE];
	struct pd_buffer text, there;
	int result;

	pd_buffer_init(&text, PD_EXPORT_PLAN_MAX);
	pd_buffer_init(&there, PD_EXPORT_PLAN_MAX);
	pd_export_plan_name(exporting->plan.from_lsn, name);
	result = pd_export_plan_format(&exporting->plan, &text) == 0 ? 0 : no_memory(err);
	if (result == 0)
		result = put(exporting, name, pd_buffer_slice(&text), err);
	if (result == 0)
		result = pd_export_read(exporting->order->target, name, &there, err);
	if (result == 0 && !pd_slice_equal(pd_buffer_slice(&there), pd_buffer_slice(&text)))
		result = pd_error_set(err, PD_BUSY, "somebody else exports to %s: one does at a time",
				      pd_object_store_address(exporting->order->target));
	pd_buffer_done(&there);
	pd_buffer_done(&text);
	return result;
}

/* ---- where it goes on ---- */

static int take_names(struct exporting *exporting, const struct pd_export_plan *plan)
{
	for (size_t i = 0; i < plan->name_count; i++)
		pd_cli_log_names_add(&exporting->names, plan->names[i].id, plan->names[i].tenant,
				     pd_slice(plan->names[i].text, plan->names[i].size));
	return exporting->names.out_of_memory ? PD_NO_MEMORY : 0;
}

static int take_files(struct exporting *exporting, const struct pd_export_plan *plan)
{
	int result = 0;

	for (size_t i = 0; i < plan->file_count && result == 0; i++)
		result = note_file(exporting, &plan->files[i]);
	return result;
}

static int read_plan(struct exporting *exporting, const char *name, struct pd_export_plan *ret_plan,
		     struct pd_error *err)
{
	const struct pd_export *order = exporting->order;
	struct pd_buffer text;
	int result;

	pd_buffer_init(&text, PD_EXPORT_PLAN_MAX);
	*ret_plan = (struct pd_export_plan){ 0 };
	result = pd_export_read(order->target, name, &text, err);
	if (result == 0) {
		result = pd_export_plan_parse(pd_buffer_slice(&text), ret_plan);
		if (result == PD_NO_MEMORY)
			result = no_memory(err);
		else if (result != 0)
			result = pd_error_set(err, result, "object '%s' of %.200s %s", name,
					      pd_object_store_address(order->target),
					      result == PD_CORRUPT
						      ? "is damaged"
						      : "was written by a newer Perdure: use one");
	}
	pd_buffer_done(&text);
	if (result == 0 &&
	    (memcmp(&ret_plan->log.cluster_id, &order->log.cluster_id, PD_CLUSTER_ID_SIZE) != 0 ||
	     ret_plan->log.shard != order->log.shard))
		result = pd_error_set(err, PD_CONFLICT,
				      "%s has the export of another log: each needs an address of its own",
				      pd_object_store_address(order->target));
	return result;
}

/* Is all there that the plan names, for good? */
static int is_whole(struct exporting *exporting, const struct pd_export_plan *plan, bool *ret_whole,
		    struct pd_error *err)
{
	struct pd_object_store *target = exporting->order->target;
	int result = 0;

	*ret_whole = true;
	for (size_t i = 0; i < plan->file_count && result == 0 && *ret_whole; i++) {
		char name[PD_EXPORT_PATH_SIZE + 16];
		uint64_t size;

		result = pd_object_settle(target, plan->files[i].path, err);
		for (unsigned n = 0; n < 2 && result == 0; n++) {
			(void)snprintf(name, sizeof name, "%s%s", plan->files[i].path,
				       n == 0 ? PD_EXPORT_DATA : PD_EXPORT_CHECKSUM);
			result = pd_object_head(target, name, &size, err);
		}
		if (result == PD_NOT_FOUND) {
			*ret_whole = false;
			result = 0;
		}
	}
	return result;
}

/* What has it, and the last that is archived of its segment; is all of the segment there by now? */
struct found {
	const struct pd_archive_item *item, *last;
	bool sealed;
};

static bool find(const struct exporting *exporting, uint64_t lsn, struct found *ret_found)
{
	const struct pd_archive_catalog *catalog = &exporting->catalog;
	const struct pd_archive_item *items = catalog->items;

	/* The newest base first: what is in several is the same in each. */
	for (size_t r = catalog->run_count; r-- > 0;) {
		size_t i = catalog->runs[r].first, end = i + catalog->runs[r].count;

		while (i < end &&
		       (items[i].part.stretch.last_lsn < lsn || items[i].part.stretch.first_lsn > lsn))
			i++;
		if (i == end)
			continue;
		ret_found->item = &items[i];
		while (i + 1 < end && items[i + 1].part.stretch.segment == items[i].part.stretch.segment)
			i++;
		ret_found->last = &items[i];
		ret_found->sealed = i + 1 < end || pd_archive_kind_seals(items[i].part.kind);
		return true;
	}
	return false;
}

static bool is_same(const struct pd_export_plan *a, const struct pd_export_plan *b)
{
	bool same = a->file_count == b->file_count;

	for (size_t i = 0; i < a->file_count && same; i++)
		same = strcmp(a->files[i].path, b->files[i].path) == 0 &&
		       memcmp(a->files[i].sha256, b->files[i].sha256, sizeof a->files[i].sha256) == 0;
	return same;
}

/* Another version of Perdure may write lines otherwise. Nothing of what was not finished counts yet. */
static int take_back(struct exporting *exporting, const struct pd_export_plan *plan, struct pd_error *err)
{
	struct pd_object_store *target = exporting->order->target;
	char name[PD_EXPORT_PATH_SIZE + 16];
	int result = 0;

	for (size_t i = 0; i < 2 * plan->file_count && result == 0; i++) {
		(void)snprintf(name, sizeof name, "%s%s", plan->files[i / 2].path,
			       i % 2 == 0 ? PD_EXPORT_CHECKSUM : PD_EXPORT_DATA);
		result = pd_object_delete(target, name, err);
	}
	pd_export_plan_name(plan->from_lsn, name);
	return result == 0 ? pd_object_delete(target, name, err) : result;
}

/* What somebody has planned and not ended, of the same records. */
static int finish(struct exporting *exporting, const struct pd_export_plan *plan, struct pd_error *err)
{
	struct found from, to;
	int result;

	if (!find(exporting, plan->from_lsn, &from) || !find(exporting, plan->to_lsn, &to))
		return pd_error_set(err, PD_NOT_FOUND,
				    "the export of LSN %" PRIu64 " to %" PRIu64
				    " was not ended, and the archive %.200s does not have them any more",
				    plan->from_lsn, plan->to_lsn,
				    pd_object_store_address(exporting->order->archive));
	result = make_stretch(exporting, from.item, plan->from_lsn, plan->to_lsn, plan->after_lsn, err);
	if (result != 0)
		return result;
	if (!is_same(&exporting->plan, plan)) {
		result = take_back(exporting, plan, err);
		if (result == 0)
			result = put_plan(exporting, err);
	}
	return result == 0 ? put_files(exporting, err) : result;
}

struct listing {
	char (*names)[PD_EXPORT_NAME_SIZE];
	size_t count, capacity;
};

static int list_plans(struct exporting *exporting, struct listing *listing, struct pd_error *err)
{
	char after[PD_OBJECT_NAME_MAX + 1] = "";
	bool more = true;
	int result = pd_object_settle(exporting->order->target, PD_EXPORT_PLANS, err);

	while (result == 0 && more) {
		struct pd_object_page page;

		result = pd_object_list(exporting->order->target, PD_EXPORT_PLANS, after, PD_OBJECT_PAGE_MAX,
					&page, err);
		if (result != 0)
			return result;
		for (size_t i = 0; i < page.count && result == 0; i++) {
			void *grown = pd_grow(listing->names, listing->count, &listing->capacity,
					      sizeof *listing->names, 64);

			if (grown == NULL) {
				result = no_memory(err);
				break;
			}
			listing->names = grown;
			(void)snprintf(listing->names[listing->count++], PD_EXPORT_NAME_SIZE, "%.60s",
				       page.entries[i].name);
		}
		more = page.more;
		if (page.count > 0)
			(void)snprintf(after, sizeof after, "%s", page.entries[page.count - 1].name);
		pd_object_page_done(&page);
	}
	return result;
}

static int take_plan(struct exporting *exporting, const char *name, bool is_last, struct pd_error *err)
{
	struct pd_export_plan plan;
	bool whole = true;
	int result = read_plan(exporting, name, &plan, err);

	if (result == 0 && is_last)
		result = is_whole(exporting, &plan, &whole, err);
	if (result == 0 && !whole) {
		result = finish(exporting, &plan, err);
	} else if (result == 0) {
		result = take_names(exporting, &plan);
		if (result == 0)
			result = take_files(exporting, &plan);
		if (result != 0)
			result = result == PD_NO_MEMORY
					 ? no_memory(err)
					 : pd_error_set(err, result, "object '%s' does not make sense", name);
		exporting->last_lsn = plan.to_lsn;
	}
	pd_export_plan_done(&plan);
	return result;
}

static int go_back(struct exporting *exporting, struct pd_error *err)
{
	struct listing listing = { 0 };
	int result = list_plans(exporting, &listing, err);

	for (size_t i = 0; i < listing.count && result == 0; i++)
		result = take_plan(exporting, listing.names[i], i + 1 == listing.count, err);
	pd_free(listing.names);
	return result;
}

/* ---- all of it ---- */

/* The next that there is, behind what the archive may lack. */
static bool find_next(const struct exporting *exporting, struct found *ret_found, uint64_t *ret_from_lsn)
{
	const struct pd_archive_catalog *catalog = &exporting->catalog;
	bool found = find(exporting, exporting->last_lsn + 1, ret_found);

	*ret_from_lsn = exporting->last_lsn + 1;
	for (size_t r = 0; r < catalog->run_count && !found; r++)
		if (catalog->runs[r].first_lsn > exporting->last_lsn) {
			*ret_from_lsn = catalog->runs[r].first_lsn;
			found = find(exporting, *ret_from_lsn, ret_found);
		}
	return found && (ret_found->sealed || exporting->order->open_too);
}

static int export_all(struct exporting *exporting, struct pd_error *err)
{
	struct found found;
	uint64_t from_lsn;
	int result = go_back(exporting, err);

	while (result == 0 && find_next(exporting, &found, &from_lsn)) {
		if (exporting->last_lsn > 0 && from_lsn > exporting->last_lsn + 1) {
			exporting->done->gap_first_lsn = exporting->last_lsn + 1;
			exporting->done->gap_last_lsn = from_lsn - 1;
		}
		result = make_stretch(exporting, found.item, from_lsn, found.last->part.stretch.last_lsn,
				      exporting->last_lsn, err);
		if (result == 0)
			result = put_plan(exporting, err);
		if (result == 0)
			result = put_files(exporting, err);
	}
	return result;
}

static void exporting_done(struct exporting *exporting)
{
	exporting->sink = NULL;
	stretch_begin(exporting, 0, 0, 0);
	pd_free(exporting->parts);
	pd_free(exporting->places);
	pd_cli_log_names_done(&exporting->names);
	pd_archive_catalog_done(&exporting->catalog);
	if (exporting->line != NULL)
		(void)fclose(exporting->line);
}

int pd_export_run(const struct pd_export *order, struct pd_exported *ret_done, struct pd_error *err)
{
	struct exporting exporting = { .order = order, .done = ret_done };
	struct pd_error why;
	int result;

	*ret_done = (struct pd_exported){ 0 };
	pd_archive_catalog_init(&exporting.catalog);
	pd_cli_log_names_init(&exporting.names);
	exporting.names.told = hear_name;
	exporting.names.context = &exporting;
	exporting.line = fopencookie(&exporting, "w", (cookie_io_functions_t){ .write = take_text });
	result = exporting.line == NULL ? no_memory(err) : 0;
	if (result == 0)
		result = pd_archive_catalog_load(&exporting.catalog, order->archive, &order->log, 0, err);
	if (result == 0)
		result = export_all(&exporting, err);
	ret_done->last_lsn = exporting.last_lsn;
	(void)!pd_os_remove_tree(order->os, order->scratch, &why);
	exporting_done(&exporting);
	return result;
}
