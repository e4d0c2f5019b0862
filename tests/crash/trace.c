#include "trace.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "must.h"
#include "record.h"

struct handle {
	bool ignored, synced;
};

struct loading {
	struct trace *trace;
	const char *const *ignored;
	struct handle *handles;
	size_t handle_room;
};

static void read_whole(struct trace *trace, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat info;

	if (fd < 0 || fstat(fd, &info) != 0)
		die("cannot read the trace '%s'", path);
	trace->size = (size_t)info.st_size;
	trace->bytes = must_resize(NULL, trace->size);
	for (size_t done = 0; done < trace->size;) {
		ssize_t got = read(fd, trace->bytes + done, trace->size - done);

		if (got <= 0)
			die("cannot read the trace '%s'", path);
		done += (size_t)got;
	}
	close(fd);
}

bool trace_ignores(const char *const *ignored, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;

	for (size_t i = 0; ignored != NULL && ignored[i] != NULL; i++)
		if (fnmatch(ignored[i], name, 0) == 0)
			return true;
	return false;
}

static void add_step(struct trace *trace, struct step step)
{
	MUST_GROW(trace->steps, trace->step_count, trace->step_room);
	trace->steps[trace->step_count++] = step;
}

static void add_mark(struct trace *trace, const char *text)
{
	MUST_GROW(trace->marks, trace->mark_count, trace->mark_room);
	trace->marks[trace->mark_count++] = (struct mark){ text, trace->step_count };
}

static void add_open(struct loading *loading, const struct record_entry *entry, const char *path)
{
	struct trace *trace = loading->trace;
	struct handle *handle;

	if (entry->handle != trace->handle_count)
		die("the trace opens handle %u out of turn", entry->handle);
	MUST_GROW(loading->handles, trace->handle_count, loading->handle_room);
	handle = &loading->handles[trace->handle_count++];
	*handle = (struct handle){ trace_ignores(loading->ignored, path),
				   (entry->flags & RECORD_SYNCED) != 0 };
	if (!handle->ignored)
		add_step(trace, (struct step){ .kind = STEP_OPEN,
					       .handle = entry->handle,
					       .create = (entry->flags & RECORD_CREATE) != 0,
					       .truncate = (entry->flags & RECORD_TRUNCATE) != 0,
					       .path = path });
}

static void add_names(struct loading *loading, struct step step)
{
	bool ignored = trace_ignores(loading->ignored, step.path);

	if (step.to_path != NULL && ignored != trace_ignores(loading->ignored, step.to_path))
		die("'%s' becomes '%s': one of them is ignored, the other is not", step.path, step.to_path);
	if (!ignored)
		add_step(loading->trace, step);
}

/* Of data, by handle. */
static void add_data(struct loading *loading, const struct record_entry *entry, const char *payload)
{
	static const enum step_kind kinds[] = { [RECORD_WRITE] = STEP_WRITE,
						[RECORD_RESIZE] = STEP_RESIZE,
						[RECORD_GROW] = STEP_GROW,
						[RECORD_ZERO] = STEP_ZERO,
						[RECORD_SYNC] = STEP_SYNC };
	struct step step = { .kind = kinds[entry->kind],
			     .handle = entry->handle,
			     .offset = entry->offset,
			     .length = entry->length };
	const struct handle *handle;

	if (entry->handle == 0 || entry->handle >= loading->trace->handle_count)
		die("the trace uses handle %u, which nothing opened", entry->handle);
	handle = &loading->handles[entry->handle];
	if (handle->ignored)
		return;
	if (step.kind == STEP_WRITE) {
		step.data = (const uint8_t *)payload;
		step.length = entry->payload_size;
	}
	add_step(loading->trace, step);
	if (handle->synced && (step.kind == STEP_WRITE || step.kind == STEP_ZERO)) {
		step.kind = STEP_SYNC_RANGE;
		add_step(loading->trace, step);
	}
}

static void add_entry(struct loading *loading, const struct record_entry *entry, const char *payload)
{
	const char *second = payload + strlen(payload) + 1;

	switch (entry->kind) {
	case RECORD_OPEN:
		add_open(loading, entry, payload);
		return;
	case RECORD_WRITE:
	case RECORD_RESIZE:
	case RECORD_GROW:
	case RECORD_ZERO:
	case RECORD_SYNC:
		add_data(loading, entry, payload);
		return;
	case RECORD_SYNC_ALL:
		add_step(loading->trace, (struct step){ .kind = STEP_SYNC_ALL });
		return;
	case RECORD_MKDIR:
		add_names(loading, (struct step){ .kind = STEP_MKDIR, .path = payload });
		return;
	case RECORD_RMDIR:
	case RECORD_UNLINK:
		add_names(loading, (struct step){ .kind = STEP_REMOVE, .path = payload });
		return;
	case RECORD_RENAME:
		add_names(loading, (struct step){ .kind = STEP_RENAME, .path = payload, .to_path = second });
		return;
	case RECORD_LINK:
		add_names(loading, (struct step){ .kind = STEP_LINK, .path = payload, .to_path = second });
		return;
	case RECORD_MARK:
		add_mark(loading->trace, payload);
		return;
	default:
		die("the trace holds an entry of kind %u", entry->kind);
	}
}

void trace_load(struct trace *trace, const char *path, const char *const *ignored)
{
	struct loading loading = { .trace = trace, .ignored = ignored };

	*trace = (struct trace){ .handle_count = 0 };
	read_whole(trace, path);
	MUST_GROW(loading.handles, trace->handle_count, loading.handle_room);
	loading.handles[trace->handle_count++] = (struct handle){ .ignored = true };
	for (size_t at = 0; at < trace->size;) {
		struct record_entry entry;

		if (trace->size - at < sizeof entry)
			die("the trace '%s' ends within an entry", path);
		memcpy(&entry, trace->bytes + at, sizeof entry);
		if (entry.size > trace->size - at || entry.size <= sizeof entry + entry.payload_size)
			die("the trace '%s' ends within an entry", path);
		add_entry(&loading, &entry, (const char *)trace->bytes + at + sizeof entry);
		at += entry.size;
	}
	free(loading.handles);
}

void trace_done(struct trace *trace)
{
	free(trace->bytes);
	free(trace->steps);
	free(trace->marks);
	*trace = (struct trace){ .handle_count = 0 };
}

size_t trace_marks_begun(const struct trace *trace, size_t crash)
{
	size_t count = 0;

	while (count < trace->mark_count && trace->marks[count].step < crash)
		count++;
	return count;
}

size_t trace_marks_known(const struct trace *trace, size_t crash)
{
	size_t count = 0;

	while (count < trace->mark_count && trace->marks[count].step <= crash)
		count++;
	return count;
}
