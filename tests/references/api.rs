//! `docs/api.md`, from the protocol and its comments.

use std::collections::HashMap;
use std::fmt::Write as _;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};
use prost_types::{FieldDescriptorProto, ServiceDescriptorProto};

const FILE: &str = "undertone/v1/emotion.proto";

// Numbers of fields in `descriptor.proto`, of which a comment's path is made.
const MESSAGES: i32 = 4;
const ENUMS: i32 = 5;
const SERVICES: i32 = 6;
const MEMBERS: i32 = 2;

#[test]
fn the_api_page_equals_the_protocol() {
    super::check("api.md", &page());
}

fn page() -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
    let compiled = protox::Compiler::new([root])
        .unwrap()
        .include_source_info(true)
        .open_file(FILE)
        .unwrap()
        .file_descriptor_set();
    let file = compiled.file.into_iter().find(|file| file.name() == FILE);
    let file = file.unwrap();
    let comments = Comments::of(&file);
    let mut page = super::heading("API reference", &format!("proto/{FILE}"));
    let package = file.package();
    writeln!(
        page,
        "The package is `{package}`. gRPC reflection serves it, so tools such as grpcurl need no file. \
         Fields that are left out have the default of proto3: 0, an empty text, `false`.\n"
    )
    .unwrap();
    for (place, service) in file.service.iter().enumerate() {
        write_service(&mut page, &comments, place, service, package);
    }
    page += "## Messages\n\n";
    for (place, message) in file.message_type.iter().enumerate() {
        write_message(&mut page, &comments, place, message, package);
    }
    page += "## Enumerations\n\n";
    for (place, enumeration) in file.enum_type.iter().enumerate() {
        write_enum(&mut page, &comments, place, enumeration);
    }
    page.trim_end().to_owned() + "\n"
}

/// Comments of a file by the path of what they stand before.
struct Comments(HashMap<Vec<i32>, String>);

impl Comments {
    fn of(file: &FileDescriptorProto) -> Self {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        let comments = locations.filter_map(|location| {
            let lines = location.leading_comments.as_deref()?.lines();
            let lines: Vec<_> = lines.map(str::trim).collect();
            Some((location.path.clone(), lines.join("\n").trim().to_owned()))
        });
        Self(comments.collect())
    }

    /// The comment at a path, with its lines as they are.
    fn at(&self, path: &[i32]) -> &str {
        self.0.get(path).map_or("", String::as_str)
    }

    /// The comment at a path as the text of a table's cell.
    fn cell(&self, path: &[i32]) -> String {
        let paragraphs = self.at(path).split("\n\n");
        let paragraphs: Vec<_> = paragraphs.map(|lines| lines.replace('\n', " ")).collect();
        paragraphs.join("<br>").replace('|', "\\|")
    }
}

/// The place of an element as a path's part.
fn at(place: usize) -> i32 {
    i32::try_from(place).unwrap()
}

fn write_service(
    page: &mut String,
    comments: &Comments,
    place: usize,
    service: &ServiceDescriptorProto,
    package: &str,
) {
    let path = [SERVICES, at(place)];
    writeln!(page, "## {}\n\n{}\n", service.name(), comments.at(&path)).unwrap();
    for (place, method) in service.method.iter().enumerate() {
        let stream = |streams| if streams { "stream of " } else { "" };
        let comment = comments.at(&[path[0], path[1], MEMBERS, at(place)]);
        writeln!(
            page,
            "### {}\n\nRequest: {}{}. Answer: {}{}.\n\n{comment}\n",
            method.name(),
            stream(method.client_streaming()),
            link(method.input_type(), package),
            stream(method.server_streaming()),
            link(method.output_type(), package),
        )
        .unwrap();
    }
}

fn write_message(
    page: &mut String,
    comments: &Comments,
    place: usize,
    message: &DescriptorProto,
    package: &str,
) {
    let name = message.name();
    assert!(
        message.nested_type.is_empty(),
        "{name} has nested messages, which this page lacks"
    );
    assert!(
        message.enum_type.is_empty(),
        "{name} has nested enumerations, which this page lacks"
    );
    let path = [MESSAGES, at(place)];
    writeln!(page, "### {name}\n").unwrap();
    if !comments.at(&path).is_empty() {
        writeln!(page, "{}\n", comments.at(&path)).unwrap();
    }
    page.push_str("| field | type | number | meaning |\n|---|---|--:|---|\n");
    for (place, field) in message.field.iter().enumerate() {
        let group = field.oneof_index.filter(|_| !field.proto3_optional());
        let group = group.map_or_else(String::new, |index| {
            let group = &message.oneof_decl[usize::try_from(index).unwrap()];
            format!("One of `{}`. ", group.name())
        });
        writeln!(
            page,
            "| `{}` | {} | {} | {group}{} |",
            field.name(),
            type_of(field, package),
            field.number(),
            comments.cell(&[path[0], path[1], MEMBERS, at(place)]),
        )
        .unwrap();
    }
    page.push('\n');
}

fn write_enum(
    page: &mut String,
    comments: &Comments,
    place: usize,
    enumeration: &EnumDescriptorProto,
) {
    let path = [ENUMS, at(place)];
    writeln!(page, "### {}\n", enumeration.name()).unwrap();
    if !comments.at(&path).is_empty() {
        writeln!(page, "{}\n", comments.at(&path)).unwrap();
    }
    page.push_str("| value | number | meaning |\n|---|--:|---|\n");
    for (place, value) in enumeration.value.iter().enumerate() {
        let comment = comments.cell(&[path[0], path[1], MEMBERS, at(place)]);
        writeln!(
            page,
            "| `{}` | {} | {comment} |",
            value.name(),
            value.number()
        )
        .unwrap();
    }
    page.push('\n');
}

fn type_of(field: &FieldDescriptorProto, package: &str) -> String {
    let name = match field.r#type() {
        Type::Message | Type::Enum => link(field.type_name(), package),
        scalar => scalar
            .as_str_name()
            .trim_start_matches("TYPE_")
            .to_lowercase(),
    };
    match field.label() {
        Label::Repeated => format!("repeated {name}"),
        _ if field.proto3_optional() => format!("optional {name}"),
        _ => name,
    }
}

/// A type's name, as a link if this page describes it.
fn link(full_name: &str, package: &str) -> String {
    let name = full_name.trim_start_matches('.');
    match name
        .strip_prefix(package)
        .and_then(|rest| rest.strip_prefix('.'))
    {
        Some(own) => format!("[{own}](#{})", own.to_lowercase()),
        None => format!("`{name}`"),
    }
}
