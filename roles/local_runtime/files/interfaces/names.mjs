// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/** Names that the front and the backends agree on; apart, as the front does not load the WASI host. */

/** Header in which repeated response headers travel to the front: preview2-shim's server keeps only the last of each name. */
export const REPEATED_HEADERS = "wasmfaas-repeated-headers";
