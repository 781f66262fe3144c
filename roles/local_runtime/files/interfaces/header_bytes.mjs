// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Makes Node.js send header values byte for byte. Its own flushHeaders (lib/_http_outgoing.js of 24.19) names no encoding, so that a
 * character which stands for a byte above 127 is sent as UTF-8.
 *
 * Also an extension of preview2-shim's thread for input and output, which sends the answers and requests of components.
 */

import { OutgoingMessage } from "node:http";

OutgoingMessage.prototype.flushHeaders = function () {
  if (!this._header) this._implicitHeader();
  this._send("", "latin1");
};

export default () => async () => {};
