/* An export of the archive, as whoever can write to its place can make it: plans, files, and whether they are found sound. Checksums are put right, or nothing would get past them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/memory.h"
#include "cli/export.h"
#include "cli/export_plan.h"
#include "cli/gzip.h"
#include "input.h"
#include "os/sim.h"
#include "provider/object_name.h"
#include "provider/place.h"

#define TEXT_MAX ((size_t)64 * 1024)

static void seal(struct pd_slice lines, struct pd_buffer *text)
{
	pd_buffer_clear(text);
	PD_ASSERT(pd_buffer_append_slice(text, lines) == 0);
	PD_ASSERT(pd_buffer_printf(text, "crc %08x\n", pd_crc32c(0, lines.data, lines.size)) == 0);
}

/* What makes sense is written as it was read, and its files' names are ones that a store takes. */
static void check_plan(const struct pd_export_plan *plan)
{
	struct pd_export_plan again;
	struct pd_buffer once, twice;

	pd_buffer_init(&once, 8 * TEXT_MAX);
	pd_buffer_init(&twice, 8 * TEXT_MAX);
	for (size_t i = 0; i < plan->file_count; i++) {
		size_t directory, day;
		uint32_t number;

		PD_ASSERT(pd_export_path_parse(plan->files[i].path, &number, &directory, &day));
		PD_ASSERT(directory < day && day < strlen(plan->files[i].path));
	}
	PD_ASSERT(pd_export_plan_format(plan, &once) == 0);
	PD_ASSERT(pd_export_plan_parse(pd_buffer_slice(&once), &again) == 0);
	PD_ASSERT(pd_export_plan_format(&again, &twice) == 0);
	PD_ASSERT(pd_slice_equal(pd_buffer_slice(&once), pd_buffer_slice(&twice)));
	pd_export_plan_done(&again);
	pd_buffer_done(&once);
	pd_buffer_done(&twice);
}

static bool take_plan(struct input *input, struct pd_buffer *text, struct pd_export_plan *plan)
{
	const uint8_t *end = memmem(input->data, input->size, "\n\n", 2);
	struct pd_slice lines = take_bytes(input,
					   end != NULL ? (size_t)(end - input->data) + 1 : input->size);
	int result;

	(void)take_byte(input);
	seal(lines, text);
	result = pd_export_plan_parse(pd_buffer_slice(text), plan);
	PD_ASSERT(result == 0 || result == PD_CORRUPT || result == PD_NEWER_FORMAT);
	if (result == 0)
		check_plan(plan);
	return result == 0;
}

static void put(struct pd_object_store *store, const char *name, struct pd_slice bytes)
{
	if (pd_object_name_valid(name))
		(void)!pd_object_put_bytes(store, name, bytes, NULL, NULL);
}

static void note(void *context, const char *text)
{
	PD_ASSERT(text[0] != '\0');
	(*(uint64_t *)context)++;
}

/* A plan, and its first file with what comes behind it. */
static void check(struct input *input)
{
	const struct pd_object_place place = { .address = "place" };
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct pd_export_check order = { .damage = note };
	struct pd_export_verdict verdict;
	struct pd_export_plan plan;
	struct pd_buffer text, file, checksum;
	uint64_t told = 0;
	struct pd_os *os;

	pd_buffer_init(&text, 2 * TEXT_MAX);
	pd_buffer_init(&file, 2 * TEXT_MAX);
	pd_buffer_init(&checksum, 4096);
	PD_ASSERT(pd_os_sim_new(&options, &os, NULL) == 0);
	PD_ASSERT(pd_os_mkdir(os, "place", NULL) == 0);
	PD_ASSERT(pd_object_place_open(os, &place, "export", &order.target, NULL) == 0);
	if (take_plan(input, &text, &plan)) {
		char name[PD_EXPORT_PATH_SIZE + 16];

		if (plan.file_count > 0) {
			PD_ASSERT(pd_gzip(take_bytes(input, input->size), &file) == 0);
			(void)snprintf(name, sizeof name, "%s" PD_EXPORT_DATA, plan.files[0].path);
			put(order.target, name, pd_buffer_slice(&file));
			PD_ASSERT(pd_export_checksum(plan.files[0].path, pd_buffer_slice(&file), &checksum) ==
				  0);
			(void)snprintf(name, sizeof name, "%s" PD_EXPORT_CHECKSUM, plan.files[0].path);
			put(order.target, name, pd_buffer_slice(&checksum));
		}
		pd_export_plan_name(plan.from_lsn, name);
		put(order.target, name, pd_buffer_slice(&text));
		pd_export_plan_done(&plan);
	}
	order.context = &told;
	if (pd_export_check(&order, &verdict, NULL) == 0)
		PD_ASSERT(verdict.damaged == told);
	pd_object_store_free(order.target);
	pd_buffer_done(&text);
	pd_buffer_done(&file);
	pd_buffer_done(&checksum);
	pd_os_free(os);
}

static int count(void *context, struct pd_slice line)
{
	PD_ASSERT(line.size == 0 || memchr(line.data, '\n', line.size) == NULL);
	(*(uint64_t *)context)++;
	return 0;
}

/* A file as it comes. */
static void look(struct input *input)
{
	struct pd_export_content content;
	uint64_t lines = 0;
	int result = pd_export_look(take_bytes(input, input->size), count, &lines, &content);

	PD_ASSERT(result == 0 || result == PD_CORRUPT || result == PD_TOO_LARGE);
	PD_ASSERT(result != 0 || lines == content.lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };

	if (size > TEXT_MAX)
		return 0;
	if (take_byte(&input) % 4 == 0)
		look(&input);
	else
		check(&input);
	return 0;
}
