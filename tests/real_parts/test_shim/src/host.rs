// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

//! What a component may import: WASI, outgoing HTTP that is always denied, Spin's variables, and a key-value store in
//! memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentType, Lift, Linker, Lower, Resource, ResourceTable, ResourceType};
use wasmtime::{Engine, Result, StoreContextMut};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

/// Contents of all stores of the pod by label; lost with it, as in Spin without a runtime configuration.
pub type Stores = Arc<Mutex<HashMap<String, BTreeMap<String, Vec<u8>>>>>;

pub struct State {
    pub wasi: WasiCtx,
    pub http: WasiHttpCtx,
    pub table: ResourceTable,
    pub hooks: Hooks,
    pub values: Arc<BTreeMap<String, String>>,
    pub labels: Arc<Vec<String>>,
    pub stores: Stores,
}

pub struct Hooks;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        _: hyper::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<
        dyn Future<
                Output = Result<
                    (
                        hyper::Response<WasiBody>,
                        Box<dyn Future<Output = Result<(), HttpError>> + Send>,
                    ),
                    HttpError,
                >,
            > + Send,
    > {
        Box::new(async { Err(HttpError::HttpRequestDenied) })
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum VariablesError {
    #[component(name = "invalid-name")]
    InvalidName(String),
    #[component(name = "undefined")]
    Undefined(String),
    #[component(name = "provider")]
    Provider(String),
    #[component(name = "other")]
    Other(String),
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StoreError {
    #[component(name = "store-table-full")]
    StoreTableFull,
    #[component(name = "no-such-store")]
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "other")]
    Other(String),
}

/// An opened store: its label.
pub struct OpenStore(String);

type Answer<T> = Result<(std::result::Result<T, StoreError>,)>;

/// What this host gives, by interface without version.
fn is_given(interface: &str) -> bool {
    let (name, version) = interface.split_once('@').unwrap_or((interface, ""));
    let wasi = [
        "wasi:io/",
        "wasi:clocks/",
        "wasi:random/",
        "wasi:filesystem/",
        "wasi:sockets/",
        "wasi:cli/",
        "wasi:http/",
    ];
    (wasi.iter().any(|package| name.starts_with(package)) && version.starts_with("0.2.") && !version.contains('-'))
        || ["fermyon:spin/variables@2.0.0", "fermyon:spin/key-value@2.0.0"].contains(&interface)
}

/// Turns every other import into a function that ends the request. `Linker::define_unknown_imports_as_traps` compares
/// names with their versions: it would hide `wasi:http/types@0.2.6` of the linker from a component that imports
/// `wasi:http/types@0.2.0`.
pub fn trap_the_rest(linker: &mut Linker<State>, component: &Component) -> Result<()> {
    let engine = component.engine().clone();
    for (interface, import) in component.component_type().imports(&engine) {
        let ComponentItem::ComponentInstance(instance) = import.ty else {
            continue;
        };
        if is_given(interface) {
            continue;
        }
        let mut stub = linker.instance(interface)?;
        for (name, export) in instance.exports(&engine) {
            match export.ty {
                ComponentItem::ComponentFunc(_) => {
                    let full = format!("{interface}#{name}");
                    stub.func_new(name, move |_, _, _, _| {
                        wasmtime::bail!("{full} does not exist in this test shim")
                    })?;
                }
                ComponentItem::Resource(_) => stub.resource(name, ResourceType::host::<()>(), |_, _| Ok(()))?,
                _ => {}
            }
        }
    }
    Ok(())
}

pub fn linker(engine: &Engine) -> Result<Linker<State>> {
    let mut linker = Linker::<State>::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;

    let mut variables = linker.instance("fermyon:spin/variables@2.0.0")?;
    variables.func_wrap("get", |store: StoreContextMut<'_, State>, (name,): (String,)| {
        let value = store.data().values.get(&name).cloned();
        Ok((value.ok_or_else(|| VariablesError::Undefined(name)),))
    })?;

    let mut store = linker.instance("fermyon:spin/key-value@2.0.0")?;
    store.resource("store", ResourceType::host::<OpenStore>(), |mut store, id| {
        store.data_mut().table.delete(Resource::<OpenStore>::new_own(id))?;
        Ok(())
    })?;
    store.func_wrap(
        "[static]store.open",
        |mut store: StoreContextMut<'_, State>, (label,): (String,)| -> Answer<Resource<OpenStore>> {
            if !store.data().labels.contains(&label) {
                return Ok((Err(StoreError::AccessDenied),));
            }
            Ok((Ok(store.data_mut().table.push(OpenStore(label))?),))
        },
    )?;
    store.func_wrap(
        "[method]store.get",
        |store: StoreContextMut<'_, State>, (id, key): (Resource<OpenStore>, String)| -> Answer<Option<Vec<u8>>> {
            with(store, &id, |content| content.get(&key).cloned())
        },
    )?;
    store.func_wrap(
        "[method]store.set",
        |store: StoreContextMut<'_, State>, (id, key, value): (Resource<OpenStore>, String, Vec<u8>)| -> Answer<()> {
            with(store, &id, |content| drop(content.insert(key, value)))
        },
    )?;
    store.func_wrap(
        "[method]store.delete",
        |store: StoreContextMut<'_, State>, (id, key): (Resource<OpenStore>, String)| -> Answer<()> {
            with(store, &id, |content| drop(content.remove(&key)))
        },
    )?;
    store.func_wrap(
        "[method]store.exists",
        |store: StoreContextMut<'_, State>, (id, key): (Resource<OpenStore>, String)| -> Answer<bool> {
            with(store, &id, |content| content.contains_key(&key))
        },
    )?;
    store.func_wrap(
        "[method]store.get-keys",
        |store: StoreContextMut<'_, State>, (id,): (Resource<OpenStore>,)| -> Answer<Vec<String>> {
            with(store, &id, |content| content.keys().cloned().collect())
        },
    )?;
    Ok(linker)
}

fn with<T>(
    store: StoreContextMut<'_, State>,
    id: &Resource<OpenStore>,
    use_it: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T,
) -> Answer<T> {
    let label = store.data().table.get(id)?.0.clone();
    let mut stores = store
        .data()
        .stores
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok((Ok(use_it(stores.entry(label).or_default())),))
}
