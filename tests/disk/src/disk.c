/* Stands between a program and its disk (LD_PRELOAD): writes down what it does to the files of one
 * folder, and lets that fail where a test wants it to.
 *
 *   MADANG_DISK_FOLDER  the folder, without links in its path
 *   MADANG_DISK_LOG     where everything is written down; see `log.rs`
 *   MADANG_DISK_FAULT   a file with one fault a line: write|sync|truncate|open, then a file's name or
 *                       '*', then the error's number. It is read anew at each call.
 *
 * Shared memory (-shm) is no file to SQLite, and none here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 4096
#define REAL(name) ((__typeof__(&name))real(#name))

/* Of each descriptor, the name of its file in the folder; "" for the folder itself. */
static char *names[FILES];
static const char *folder, *fault;
static int record = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static void start(void) {
    folder = getenv("MADANG_DISK_FOLDER");
    fault = getenv("MADANG_DISK_FAULT");
    const char *path = getenv("MADANG_DISK_LOG");
    if (folder && path)
        record = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* The name within the folder of an absolute path; NULL elsewhere. */
static const char *within(const char *path) {
    pthread_once(&once, start);
    size_t length = folder ? strlen(folder) : 0;
    if (!length || strncmp(path, folder, length) || (path[length] && path[length] != '/'))
        return NULL;
    const char *name = path[length] ? path + length + 1 : "";
    size_t end = strlen(name);
    return end > 4 && !strcmp(name + end - 4, "-shm") ? NULL : name;
}

static const char *within_any(const char *path, char *buffer) {
    if (*path == '/')
        return within(path);
    if (!getcwd(buffer, PATH_MAX) || strlen(buffer) + strlen(path) + 2 > 2 * PATH_MAX)
        return NULL;
    strcat(strcat(buffer, "/"), path);
    return within(buffer);
}

static const char *name_of(int fd) { return fd >= 0 && fd < FILES ? names[fd] : NULL; }

/* The error that a call is to fail with; 0 for none. */
static int failure(const char *call, const char *name) {
    if (!fault)
        return 0;
    int fd = REAL(open)(fault, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    char text[4096];
    ssize_t length = read(fd, text, sizeof text - 1);
    REAL(close)(fd);
    text[length < 0 ? 0 : length] = 0;
    char *rest, *line = strtok_r(text, "\n", &rest);
    for (; line; line = strtok_r(NULL, "\n", &rest)) {
        char which[32], file[256];
        int number;
        if (sscanf(line, "%31s %255s %d", which, file, &number) == 3 && !strcmp(which, call) &&
            (!strcmp(file, "*") || !strcmp(file, name)))
            return number;
    }
    return 0;
}

static void note(char what, const char *name, uint64_t offset, const void *data, uint64_t length) {
    if (record < 0)
        return;
    struct __attribute__((packed)) {
        char what;
        uint32_t name;
        uint64_t offset, length;
    } head = {what, (uint32_t)strlen(name), offset, length};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)name, head.name}, {(void *)data, length}};
    if (writev(record, parts, 3) < 0)
        abort();
}

static int opened(int fd, int new) {
    if (fd < 0 || fd >= FILES)
        return fd;
    int saved = errno;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    const char *name = within(path);
    free(names[fd]);
    names[fd] = name ? strdup(name) : NULL;
    if (name && new)
        note('C', name, 0, "", 0);
    errno = saved;
    return fd;
}

static int open_any(const char *path, int flags, mode_t mode) {
    char buffer[2 * PATH_MAX];
    const char *name = within_any(path, buffer);
    int number = name && (flags & (O_WRONLY | O_RDWR)) ? failure("open", name) : 0;
    if (number)
        return errno = number, -1;
    pthread_mutex_lock(&lock);
    int new = name && (flags & O_CREAT) && access(path, F_OK);
    int fd = opened(REAL(open)(path, flags, mode), new);
    if (fd >= 0 && name && !new && (flags & O_TRUNC))
        note('T', name, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return fd;
}

#define OPEN(symbol)                                                                               \
    int symbol(const char *path, int flags, ...) {                                                 \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                    \
        va_end(more);                                                                              \
        return open_any(path, flags, mode);                                                        \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    if (name_of(fd)) {
        free(names[fd]);
        names[fd] = NULL;
    }
    return REAL(close)(fd);
}

static ssize_t write_at(int fd, const void *data, size_t length, off_t offset) {
    const char *name = names[fd];
    int number = failure("write", name);
    if (number)
        return errno = number, -1;
    pthread_mutex_lock(&lock);
    ssize_t written = REAL(pwrite)(fd, data, length, offset);
    if (written > 0)
        note('W', name, offset, data, written);
    pthread_mutex_unlock(&lock);
    return written;
}

#define PWRITE(symbol, type)                                                                       \
    ssize_t symbol(int fd, const void *data, size_t length, type offset) {                         \
        return name_of(fd) ? write_at(fd, data, length, offset)                                    \
                           : REAL(symbol)(fd, data, length, offset);                               \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *data, size_t length) {
    if (!name_of(fd))
        return REAL(write)(fd, data, length);
    int whence = fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR;
    off_t offset = lseek(fd, 0, whence);
    ssize_t written = write_at(fd, data, length, offset);
    if (written > 0)
        lseek(fd, offset + written, SEEK_SET);
    return written;
}

#define TRUNCATE(symbol, type)                                                                     \
    int symbol(int fd, type length) {                                                              \
        const char *name = name_of(fd);                                                            \
        if (!name)                                                                                 \
            return REAL(symbol)(fd, length);                                                       \
        int number = failure("truncate", name);                                                    \
        if (number)                                                                                \
            return errno = number, -1;                                                             \
        pthread_mutex_lock(&lock);                                                                 \
        int result = REAL(symbol)(fd, length);                                                     \
        if (!result)                                                                               \
            note('T', name, length, "", 0);                                                        \
        pthread_mutex_unlock(&lock);                                                               \
        return result;                                                                             \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

/* Where the log stands for the disk, a sync of the real one would only take time. */
#define SYNC(symbol)                                                                               \
    int symbol(int fd) {                                                                           \
        const char *name = name_of(fd);                                                            \
        if (!name)                                                                                 \
            return REAL(symbol)(fd);                                                               \
        int number = failure("sync", name);                                                        \
        if (number) {                                                                              \
            pthread_mutex_lock(&lock);                                                             \
            note('F', name, 0, "", 0);                                                             \
            pthread_mutex_unlock(&lock);                                                           \
            return errno = number, -1;                                                             \
        }                                                                                          \
        if (record < 0)                                                                            \
            return REAL(symbol)(fd);                                                               \
        pthread_mutex_lock(&lock);                                                                 \
        note(*name ? 'S' : 'D', name, 0, "", 0);                                                   \
        pthread_mutex_unlock(&lock);                                                               \
        return 0;                                                                                  \
    }
SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *path) {
    char buffer[2 * PATH_MAX];
    const char *name = within_any(path, buffer);
    pthread_mutex_lock(&lock);
    int result = REAL(unlink)(path);
    if (name && !result)
        note('U', name, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int rename(const char *from, const char *to) {
    char one[2 * PATH_MAX], two[2 * PATH_MAX];
    const char *old = within_any(from, one), *new = within_any(to, two);
    pthread_mutex_lock(&lock);
    int result = REAL(rename)(from, to);
    if (old && new && !result)
        note('R', old, 0, new, strlen(new));
    pthread_mutex_unlock(&lock);
    return result;
}
