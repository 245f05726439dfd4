#pragma once

// In release builds memory comes from jemalloc (docs/performance.md says what that brings); nothing has to be called.
