/* Writes down, before a program's eyes, what it does to the files of one folder: each write with
   its place and bytes, each sync, each change of length, each name that goes. Read back, this is
   what a disk was told, and what of it was synced. Preloaded; SYNCED_BYTES_FOLDER and
   SYNCED_BYTES_LOG say what and where. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int log_fd = -1;
static const char *folder;

static ssize_t plain_write(int fd, const void *bytes, size_t size) {
    ssize_t (*plain)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    return plain(fd, bytes, size);
}

static void told(char what, const char *path, uint64_t at, const void *bytes, uint64_t size) {
    struct { uint64_t what, path, at, size; } head = {(unsigned char)what, strlen(path), at, size};
    plain_write(log_fd, &head, sizeof head);
    plain_write(log_fd, path, head.path);
    if (bytes) plain_write(log_fd, bytes, size);
}

static const char *watched(int fd) {
    static __thread char path[PATH_MAX];
    char link[64];
    if (!folder) {
        folder = getenv("SYNCED_BYTES_FOLDER");
        log_fd = open(getenv("SYNCED_BYTES_LOG"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || fd == log_fd) return NULL;
    path[length] = 0;
    if (strncmp(path, folder, strlen(folder)) || strstr(path, "-shm")) return NULL;
    return path;
}

ssize_t write(int fd, const void *bytes, size_t size) {
    const char *path = watched(fd);
    off_t at = path ? lseek(fd, 0, SEEK_CUR) : 0;
    ssize_t done = plain_write(fd, bytes, size);
    if (path && done > 0) told('w', path, at, bytes, done);
    return done;
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
    ssize_t (*plain)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    const char *path = watched(fd);
    ssize_t done = plain(fd, bytes, size, at);
    if (path && done > 0) told('w', path, at, bytes, done);
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) { return pwrite64(fd, bytes, size, at); }

int ftruncate64(int fd, off64_t size) {
    int (*plain)(int, off64_t) = dlsym(RTLD_NEXT, "ftruncate64");
    const char *path = watched(fd);
    int done = plain(fd, size);
    if (path && !done) told('t', path, size, NULL, 0);
    return done;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int synced(int fd, const char *name) {
    int (*plain)(int) = dlsym(RTLD_NEXT, name);
    const char *path = watched(fd);
    int done = plain(fd);
    if (path && !done) told('s', path, 0, NULL, 0);
    return done;
}

int fsync(int fd) { return synced(fd, "fsync"); }
int fdatasync(int fd) { return synced(fd, "fdatasync"); }

int unlink(const char *path) {
    int (*plain)(const char *) = dlsym(RTLD_NEXT, "unlink");
    watched(-1);
    int done = plain(path);
    if (!done && !strncmp(path, folder, strlen(folder)) && !strstr(path, "-shm"))
        told('u', path, 0, NULL, 0);
    return done;
}
